"""The published description of `metrics.json`, for programs that read it: a JSON Schema, made from the registry.

python docs/metrics_schema.py

writes `docs/metrics.schema.json`. It describes what is there today and allows more, since keys may follow. What a
schema cannot say: a number that is null has its reason in `undefined`, under its key.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docstring_parser
from pydantic import TypeAdapter

from biranet.evaluation.measures import MEANINGS, SECTIONS, Meaning, Measure, Section
from biranet.files import write_json
from biranet.reports import fact_kinds, fold_facts

DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""The version of JSON Schema."""

Schema = dict[str, Any]

FACT_KINDS = tuple(
    each
    for module in (fact_kinds, fold_facts)
    for name, each in vars(module).items()
    if name.endswith(("Fact", "Figure"))
)
"""All kinds of facts that are more than a sentence."""


def metrics_schema() -> Schema:
    """Describe the content of `metrics.json`.

    Returns:
        A JSON Schema (draft 2020-12), plain values only.
    """
    return {
        "$schema": DIALECT,
        "title": "metrics.json of biranet",
        "description": "Every number of a report. What is not defined is null, and `undefined` says why.",
        "$ref": "#/$defs/measures",
        "properties": {
            "patients": _patients(),
            "subgroups": {"description": "The photos by the values of columns.", "type": "array", "items": _subgroup()},
            "control": _control(),
            "notes": _texts("What must be known before the numbers are read."),
            "facts": {
                "description": "What was measured, and how.",
                "type": "object",
                "additionalProperties": {"anyOf": [{"type": "string"}, _texts("Several.")]},
            },
            "provenance": _object(
                "Notes and facts once more, as data.",
                {
                    "notes": {"description": "Each note.", "type": "array", "items": _note()},
                    "facts": {"$ref": "#/$defs/facts"},
                    "tables": {
                        "description": "The tables that were pooled here, or measured again.",
                        "type": "array",
                        "items": {"$ref": "#/$defs/table"},
                    },
                },
            ),
        },
        "required": ["patients", "subgroups", "notes", "facts", "provenance"],
        "$defs": {"measures": _measures(), "interval": _interval(), "facts": _facts(), "table": _table()},
    }


def _measures() -> Schema:
    whole = _inside("")
    properties = {
        **_numbers(whole),
        "prevalence": _object(
            "What the predictive values are given for.",
            _numbers(_inside("prevalence"))
            | {
                "stated": _object(
                    "Whether it was stated; if not, it is that of the photos measured.",
                    {key: {"type": "boolean"} for key in _inside("prevalence")},
                )
            },
        ),
        **{section.name: _section(section) for section in SECTIONS if section.name},
        "ci": _intervals(whole),
        "bootstrap": _object(
            "What makes the same intervals again.",
            {
                "seed": {"description": "Seed of the draws.", "type": "integer"},
                "resamples": {"description": "How many data sets were drawn.", "type": "integer", "minimum": 1},
                "stratify": {"description": "Whether groups were drawn within strata.", "type": "boolean"},
            },
        ),
        "ci_method": {"description": "How the intervals were made.", "type": "string"},
        "undefined": _undefined(),
        "disclaimer": {"type": "string"},
    }
    return _object("What is measured of a table of predictions.", properties)


def _patients() -> Schema:
    combined = {"anyOf": [{"$ref": "#/$defs/measures"}, {"type": "null"}]}
    return _object(
        "The same by patient; `file` and `group` are then the patient.",
        {
            "reason": {"description": "Why there is nothing here, or null.", "type": ["string", "null"]},
            **_numbers(_inside("patients")),
            "worst_eye": {"description": "A patient is as ill as the worse eye.", **combined},
            "mean": {"description": "The probabilities of a patient's eyes are averaged.", **combined},
        },
    )


def _subgroup() -> Schema:
    whole = _inside("")
    always = {
        "column": {"description": "The column that makes the subgroup.", "type": "string"},
        "value": {"description": "Its value there, or a range of values.", "type": "string"},
        "few": {"description": "Whether there are too few photos to conclude anything.", "type": "boolean"},
        "ci": _intervals(whole),
        "undefined": _undefined(),
    }
    described = _object("One subgroup, with a choice of measures.", always | _numbers(whole))
    return described | {"required": [*always, "n", "groups"]}


def _control() -> Schema:
    difference = _object(
        "The model minus the control; null where one of the two is not defined.",
        {"difference": {"type": ["number", "null"]}, "ci": {"$ref": "#/$defs/interval"}},
    )
    return _object(
        "A linear probe on the same photos, and how the model differs from it; only where there is one.",
        {
            "measures": {"$ref": "#/$defs/measures"},
            "differences": {
                "description": "By key of the measure; inside a part, and of a grade, with points between.",
                "type": "object",
                "additionalProperties": difference,
            },
        },
    )


def _section(section: Section) -> Schema:
    """A part that may be missing as a whole, with intervals of its own; each operating point is such a part."""
    inside = _inside(section.name)
    properties = _numbers(inside) | {"ci": _intervals(inside)}
    if section.name != "operating_points":
        return _object(section.description, properties) | {"type": ["object", "null"]}
    return {
        "description": section.description,
        "type": ["object", "null"],
        "additionalProperties": _object("One operating point.", properties),
    }


def _inside(section: str) -> dict[str, Meaning]:
    return {meaning.key: meaning for meaning in MEANINGS.values() if meaning.section == section}


def _note() -> Schema:
    return _object(
        "What must be known before the numbers are read.",
        {
            "kind": {"description": "Its kind; docs/metrics.md lists them.", "type": "string"},
            "text": {"description": "The sentence.", "type": "string"},
            "files": _texts("The tables it is about, where it is not about all."),
        },
    )


def _facts() -> Schema:
    names = {name: {"description": f"Its {name}.", "type": "string"} for name in ("file", "sha256")}
    file = _object("A file.", names)
    one_or_each = {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}
    thresholds = {
        "description": "Thresholds by the names of their operating points: one for all photos, or that of each fold.",
        "type": "object",
        "additionalProperties": one_or_each,
    }
    kinds = [_kind(each) for each in FACT_KINDS if each is not fold_facts.FoldFigure]
    listed = {"anyOf": [{"type": "string"}, file, _kind(fold_facts.FoldFigure)]}
    return {
        "description": "What was measured and how, by its name.",
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                {"type": "string"},
                {"description": "Several.", "type": "array", "items": listed},
                file,
                *kinds,
                thresholds,
            ]
        },
    }


def _kind(kind: type) -> Schema:
    """Describe a kind of fact by its fields and their sentences."""
    schema = TypeAdapter(kind).json_schema()
    definitions = schema.pop("$defs", {})
    return _explained(_inlined(schema, definitions), kind)


def _inlined(schema: Any, definitions: Schema) -> Any:
    """Put what is referred to in its place; further keys are allowed."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _inlined(definitions[name], definitions) | {"description": f"See {name}."}
    kept = {key: part for key, part in schema.items() if key not in ("title", "additionalProperties", "default")}
    if isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = schema["additionalProperties"]
    return {key: _inlined(part, definitions) for key, part in kept.items()}


def _explained(schema: Schema, kind: type) -> Schema:
    docs = docstring_parser.parse(kind.__doc__ or "")
    sentences = {field.arg_name: " ".join((field.description or "").split()) for field in docs.params}
    for name, described in schema["properties"].items():
        described["description"] = sentences[name]
    return {"description": docs.short_description, **{key: schema[key] for key in schema if key != "description"}}


def _table() -> Schema:
    return _object(
        "A table of predictions, with the facts of the report that was made of it.",
        {
            "file": {"description": "Its name.", "type": "string"},
            "sha256": {"description": "Hash of its bytes.", "type": "string"},
            "facts": {"$ref": "#/$defs/facts"},
            "tables": {
                "description": "The tables that were pooled in it.",
                "type": "array",
                "items": {"$ref": "#/$defs/table"},
            },
        },
    )


def _numbers(meanings: Mapping[str, Meaning]) -> Schema:
    return {key: _number(meaning) for key, meaning in meanings.items()}


def _number(meaning: Meaning) -> Schema:
    bounds = {"minimum": meaning.low, "maximum": meaning.high}
    number: Schema = {"type": "integer" if meaning.count else ["number", "null"]}
    number |= {name: bound for name, bound in bounds.items() if bound is not None}
    return {"title": meaning.name, "description": meaning.sentence, **_list_of(number, meaning.shape)}


def _intervals(meanings: Mapping[str, Meaning]) -> Schema:
    """Intervals by key, for what is measured."""
    interval = {"$ref": "#/$defs/interval"}
    return {
        "description": "The ends of 95 % intervals.",
        "type": "object",
        "properties": {
            key: _list_of(interval, meaning.shape) for key, meaning in meanings.items() if isinstance(meaning, Measure)
        },
    }


def _interval() -> Schema:
    return {
        "description": "The lower and the upper end; null where the photos cannot tell.",
        "type": ["array", "null"],
        "items": {"type": "number"},
        "minItems": 2,
        "maxItems": 2,
    }


def _list_of(item: Schema, shape: tuple[int, ...]) -> Schema:
    for length in reversed(shape):
        item = {"type": "array", "items": item, "minItems": length, "maxItems": length}
    return item


def _object(description: str, properties: Schema) -> Schema:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _undefined() -> Schema:
    return {
        "description": "Why a number is null, or a grade of a list (named in the reason), by key.",
        "type": "object",
        "additionalProperties": {"type": "string"},
    }


def _texts(description: str) -> Schema:
    return {"description": description, "type": "array", "items": {"type": "string"}}


if __name__ == "__main__":
    write_json(Path(__file__).with_name("metrics.schema.json"), metrics_schema())
