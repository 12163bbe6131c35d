from __future__ import annotations

import importlib
from typing import Any

import botocore.loaders
import pytest
from botocore.exceptions import ClientError

from tests.local.aws.conftest import Account


def test_service_that_the_emulator_lacks_is_refused_by_name_without_reading_all_models(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, names = account.client("service-quotas"), list[str]()
    load = botocore.loaders.Loader.load_service_model

    def load_and_record(loader: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        names.append(name)
        return load(loader, name, *args, **kwargs)

    monkeypatch.setattr(botocore.loaders.Loader, "load_service_model", load_and_record)
    with pytest.raises(ClientError, match="GetServiceQuota"):
        client.get_service_quota(ServiceCode="bedrock", QuotaCode="L-1")
    assert names == []


def test_services_are_those_of_botocore() -> None:
    router: Any = importlib.import_module("ministack.core.router")
    known = {"glacier": True, "bedrock-runtime": True, "servicequotas": True, "nothing": False}
    assert {name: router._is_aws_service_name(name) for name in known} == known
