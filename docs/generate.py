"""Generate the tables of docs/data-formats.md, docs/local-vs-aws.md and docs/operations.md.

* docs/data-formats.md: from the pydantic models and the state machine.
* docs/local-vs-aws.md: from the assumptions about AWS in tests/aws/assumptions.py and the receipts of
  ``make verify-aws``.
* docs/operations.md: from infra/config.py.

``make docs`` runs this module. It replaces the text between ``<!-- generated: NAME -->`` and ``<!-- end -->``. NAME is
one of:

* a model, with the models of its fields;
* ``states``: the table of states and their functions;
* ``events`` or ``results``: all that these functions receive or return;
* ``assumptions``: the assumptions about AWS;
* ``stage``: the settings in cdk.json.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, JsonValue

from distillation import documents, events, records
from distillation.answers.formats import FORMATS
from distillation.costs import calibration
from distillation.runs import result_tables
from docs.assumptions import HEADER, assumption_rows
from docs.examples import EXAMPLES
from infra.config import StageConfig
from infra.state_machine_definition import render
from tests.aws.assumptions import ASSUMPTIONS
from tests.aws.receipt import read_receipts

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "data-formats.md"
ASSUMPTIONS_PAGE = ROOT / "docs" / "local-vs-aws.md"
STAGE_PAGE = ROOT / "docs" / "operations.md"
WIDTH = 100
_FORMAT_MODULES = tuple(sys.modules[kind.__module__] for kind in FORMATS.values())
_MODULES = (records, documents, events, calibration, result_tables, *_FORMAT_MODULES)
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_JSON_TYPES: dict[Any, str] = {
    str: "string",
    AwareDatetime: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    Any: "any",
    JsonValue: "any",
}


def main() -> None:
    for page in (PAGE, ASSUMPTIONS_PAGE, STAGE_PAGE):
        page.write_text(generate_page(page.read_text("utf-8")), "utf-8")


def generate_page(page: str) -> str:
    """Return the page with its generated blocks rewritten."""
    names = {match[2]: _block_models(match[2]) for match in _BLOCK.finditer(page)}
    described = {name for members in names.values() for name in members}

    def block(match: re.Match[str]) -> str:
        sections = [
            _model_section(model, level)
            for name in names[match[2]]
            for model, level in _with_parts(models()[name], described)
        ]
        body = _TABLES[match[2]]() if match[2] in _TABLES else "\n".join(sections)
        return f"{match[1]}\n{body}\n{match[3]}"

    return _BLOCK.sub(block, page)


def _block_models(name: str) -> list[str]:
    """Return the names of the models that a block describes, without those of their fields."""
    pairs = [_event_and_result(module) for _, module, _ in _tasks()]
    lists = {"events": [event for event, _ in pairs], "results": [result for _, result in pairs]}
    return [] if name in _TABLES else list(dict.fromkeys(lists.get(name, [name])))


@cache
def models() -> dict[str, type[BaseModel]]:
    """Return the models of documents, records and events by name."""
    return {
        name: model
        for module in _MODULES
        for name, model in vars(module).items()
        if inspect.isclass(model) and issubclass(model, BaseModel) and model.__module__ == module.__name__
    }


def _with_parts(model: type[BaseModel], described: set[str], level: int = 3) -> Iterator[tuple[type[BaseModel], int]]:
    """Yield a model, then the models of its fields that the page has not ``described``, with their heading levels."""
    yield model, level
    for part in _parts(model):
        if part.__name__ not in described:
            described.add(part.__name__)
            yield from _with_parts(part, described, level=4)


def _parts(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    model.model_rebuild()
    for field in model.model_fields.values():
        yield from _models_of_type(field.annotation)


def _models_of_type(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_of_type(argument)


def _model_section(model: type[BaseModel], level: int) -> str:
    """Return heading, description, table of fields and example of a model."""
    paragraphs = inspect.cleandoc(model.__doc__ or "").split("\n\n")
    text = [textwrap.fill(_markdown(paragraph), WIDTH, break_on_hyphens=False) for paragraph in paragraphs]
    parts = [f"{'#' * level} {model.__name__}", *text, _fields_table(model)]
    if example := EXAMPLES.get(model.__name__):
        parts.append(f"```json\n{_example(example)}\n```")
    return "\n\n".join(parts) + "\n"


def _fields_table(model: type[BaseModel], without: tuple[str, ...] = ()) -> str:
    """Return the table of a model's fields."""
    model.model_rebuild()
    meanings = field_meanings(model)
    fields = {name: field for name, field in model.model_fields.items() if name not in without}
    with_defaults = any(not field.is_required() for field in fields.values())
    header = ["field", "type", *(["default"] if with_defaults else []), "meaning"]
    rows = [
        [f"`{field.alias or name}`", type_name(field.annotation)]
        + ([_default(field)] if with_defaults else [])
        + [_markdown(meanings[name])]
        for name, field in fields.items()
    ]
    return _table(header, rows)


def type_name(annotation: Any) -> str:
    """Return a field's type in the words of JSON, with links to the models."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(argument) for argument in arguments)
    if origin is list:
        return f"list of {_plural(type_name(arguments[0]))}"
    if origin is dict:
        return f"map of {_plural(type_name(arguments[1]))}"
    if origin is tuple:
        return f"[{', '.join(type_name(argument) for argument in arguments)}]"
    if annotation in _JSON_TYPES:
        return _JSON_TYPES[annotation]
    return f"[{annotation.__name__}](#{annotation.__name__.lower()})"


def _plural(name: str) -> str:
    if " or " in name:
        return f"({name})"
    return re.sub(r"^(list|map|string|integer|number|boolean)\b", r"\1s", name)


def field_meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a model's fields, also of those that it inherits. Raises ``ValueError`` without one."""
    meanings: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if parent.__module__.startswith(("distillation.", "infra.")):
            meanings |= _docstrings(parent.__module__)[parent.__name__]
    if missing := model.model_fields.keys() - meanings.keys():
        raise ValueError(f"{model.__name__}.{min(missing)} has no docstring; write one below the field")
    return meanings


@cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Return the docstrings of fields by class, then by field; they stand below the field."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        node.name: {
            field.target.id: inspect.cleandoc(docstring.value.value)
            for field, docstring in zip(node.body, node.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(docstring, ast.Expr)
            and isinstance(docstring.value, ast.Constant)
            and isinstance(docstring.value.value, str)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return f"`{json.dumps(value.model_dump() if isinstance(value, BaseModel) else value)}`"


def _example(value: BaseModel) -> str:
    return _json(value.model_dump(mode="json", exclude_defaults=True), indent=0, prefix=0)


def _json(value: Any, indent: int, prefix: int) -> str:
    """Return JSON in one line if it fits beside ``prefix`` characters, else one field per line."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) or prefix + len(line) < WIDTH:
        return line
    names = {name: f"{' ' * (indent + 2)}{json.dumps(name)}: " for name in value}
    fields = [f"{start}{_json(value[name], indent + 2, len(start))}" for name, start in names.items()]
    return "{\n" + ",\n".join(fields) + f"\n{' ' * indent}}}"


def _states_table() -> str:
    """Return the table of the states that invoke a function, in the order of the definition."""
    rows = [
        [state, f"`lambdas/{module}.py`", *(type_name(models()[name]) for name in _event_and_result(module)), kept]
        for state, module, kept in _tasks()
    ]
    return _table(["state", "function", "event", "result", "stored in the state as"], rows) + "\n"


def _assumptions_table() -> str:
    """Return the table of the assumptions about AWS."""
    return _table(HEADER, assumption_rows(ASSUMPTIONS, read_receipts())) + "\n"


def _stage_table() -> str:
    """Return the table of a stage's settings in cdk.json; its name and the subscriber are given elsewhere."""
    table = _fields_table(StageConfig, without=("stage", "notify"))
    return table.replace("](#", "](data-formats.md#") + "\n"


_TABLES = {"assumptions": _assumptions_table, "stage": _stage_table, "states": _states_table}


@cache
def _tasks() -> list[tuple[str, str, str]]:
    """Return name, module and place of the result of each state that invokes a function."""
    return list(_walk(json.loads(render())["States"], "whole state"))


def _walk(states: dict[str, Any], default: str) -> Iterator[tuple[str, str, str]]:
    """Yield the tasks among ``states`` and in their Maps; ``default`` is the place of a result without a path."""
    for name, state in states.items():
        if state["Type"] == "Map":
            yield from _walk(state["ItemProcessor"]["States"], "–")
        elif state["Type"] == "Task":
            function = state["Parameters"]["FunctionName"].removeprefix("${").removesuffix("FunctionArn}")
            path = state.get("ResultPath", "$").removeprefix("$").removeprefix(".")
            yield name, _snake_case(function), f"`{path}`" if path else default


@cache
def _event_and_result(module: str) -> tuple[str, str]:
    """Return the names of the event and the result of ``lambdas/<module>.py``, from its decorator and annotation."""
    tree = ast.parse((ROOT / "lambdas" / f"{module}.py").read_text("utf-8"))
    handler = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handler")
    event = next(
        ast.unparse(decorator.args[0])
        for decorator in handler.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "typed"
    )
    return event, ast.unparse(handler.returns) if handler.returns else ""


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _markdown(text: str) -> str:
    """Return a docstring as one line of Markdown."""
    return " ".join(text.replace("``", "`").split())


if __name__ == "__main__":
    main()
