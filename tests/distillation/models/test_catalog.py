from __future__ import annotations

from pathlib import Path

import pytest

from distillation.errors import InvalidRequest
from distillation.models import catalog, catalog_file, ids
from distillation.models.hyperparameters import job_hyperparameters
from distillation.records import Quota
from tests.support.builders import any_run

PRO = "amazon.nova-pro-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
APPLICATION = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc123"
SYSTEM = f"arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.{PRO}"

NEW_ROW = """
[models."amazon.nova-new-v1:0"]
family = "nova-v1"
display_name = "Nova New"
training_id = "amazon.nova-new-v1:0:300k"
priced_as = "amazon.nova-lite-v1:0"
records_per_warmup_step = 100
quota = "nova-lite"
"""


@pytest.mark.parametrize("id", [PRO, f"us.{PRO}", f"eu.{PRO}", SYSTEM])
def test_profile_without_a_row_has_the_row_of_its_model(id: str) -> None:
    assert catalog.get_model(id) is catalog.models()[PRO]
    assert ids.provider(id) == "amazon"


def test_profile_with_its_own_price_has_its_own_row() -> None:
    assert catalog.get_model(HAIKU).price("input").usd > catalog.get_model(f"global{HAIKU[2:]}").price("input").usd


@pytest.mark.parametrize("id", [APPLICATION, "us.meta.llama", "anthropic.claude-sonnet-4-6"])
def test_model_without_a_row_is_refused_and_the_known_models_are_named(id: str) -> None:
    with pytest.raises(InvalidRequest, match=f"unknown model .*known: .*{PRO}"):
        catalog.get_model(id)


def test_model_of_a_known_family_needs_a_row_and_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(catalog_file.FILE.read_text("utf-8") + NEW_ROW, "utf-8")
    monkeypatch.setattr(catalog_file, "FILE", file)
    model = catalog.get_model("us.amazon.nova-new-v1:0")

    assert model.id == "amazon.nova-new-v1:0"
    assert model.family is catalog.get_model(PRO).family
    assert model.family.image_tokens(900, 600) == 864
    assert model.price("training").usd == pytest.approx(2.0)
    assert catalog.default_quota(model.id) == Quota(
        requests_per_minute=2_000, tokens_per_minute=4_000_000, tokens_per_day=5_760_000_000
    )
    run = any_run().model_copy(update={"student": model.id})
    assert job_hyperparameters(run, 1600) == {
        "epochCount": "2",
        "learningRate": "0.00001",
        "learningRateWarmupSteps": "16",
    }


def test_model_of_the_users_server_has_its_name_and_the_tuned_model_keeps_its_own() -> None:
    lite = catalog.get_model("amazon.nova-lite-v1:0")
    catalog.set_served_names('{"amazon.nova-lite-v1:0": "moondream"}')
    try:
        served = catalog.get_model("us.amazon.nova-lite-v1:0")

        assert (served.display_name, served.tuned_name, served.family) == ("moondream", "Nova Lite", lite.family)
        assert catalog.served_name(lite.id) == "moondream"
        assert catalog.served_name(PRO) is None
    finally:
        catalog.set_served_names("{}")

    assert catalog.get_model(lite.id).display_name == lite.tuned_name == "Nova Lite"
    assert catalog.served_name(lite.id) is None


@pytest.mark.parametrize("names", ["", "junk", "[1]", "1", '{"amazon.nova-9": "x"}'], ids=repr)
def test_invalid_names_of_served_models_are_refused(names: str) -> None:
    with pytest.raises(InvalidRequest, match="LOCAL_MODEL_NAMES is not a JSON object"):
        catalog.set_served_names(names)
