"""Inputs with the answers wanted, as messages before every row's own: written as rows and replies are. Pure."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
import pandas as pd

from batchnb.errors import NOT_SENT, InputError
from batchnb.questions.cells import cell_text, is_missing, own_value
from batchnb.questions.columns import bare, column_values, name_of, places_of, row_name
from batchnb.questions.params import unsent
from batchnb.questions.question import read_questions
from batchnb.questions.recipe import BLOCKS, MESSAGES, PARAMS, Recipe
from batchnb.questions.replies.base import MisfitError, Reply
from batchnb.questions.replies.schema import SchemaReply
from batchnb.units import half_character

__all__ = ["example_turns"]

FORM = (
    'examples= takes a list of (input, answer) pairs, a list of {"input": ..., "answer": ...}, or a frame with the '
    "columns the template reads and the answers"
)


def example_turns(examples: Any, recipe: Recipe, frame: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    """Return examples as messages: what the row would say, and the reply that is wanted.

    Parameters
    ----------
    examples : DataFrame or sequence
        Pairs of input and answer, or dicts of ``"input"`` and ``"answer"`` (and ``"rationale"``, where the reply has
        one). An input is what the row's own column holds, or a dict of all columns the template reads. A frame has
        those columns, and the answers in the column `Recipe.into` or ``"answer"``; or, of a schema, a column for each
        field. An answer is text, a label, a list of labels, or a schema's fields as a dict, a dataclass or a Pydantic
        object.
    recipe : Recipe
        What is asked of rows; without examples.
    frame : DataFrame
        Its rows' frame, for the names of its columns.

    Raises
    ------
    InputError
        An example cannot be asked as a row is, or its answer is none that a reply could give; the message names it.
    """
    if examples is None:
        return ()
    inputs = (
        list(_of_frame(examples, recipe, frame))
        if isinstance(examples, pd.DataFrame)
        else list(_of_list(examples, recipe, frame))
    )
    if not inputs:
        raise InputError(f"examples= holds no example. {NOT_SENT}")
    missing = "send" if recipe.missing == "send" else "skip"
    asking = dataclasses.replace(recipe, turns=(), blocks=(), files=(), vary=None, missing=missing)
    turns: list[dict[str, Any]] = []
    for name, row, answer in inputs:
        try:
            turns += _asked(asking, row)
            turns.append({"role": "assistant", "content": _written(recipe.reply, answer)})
        except InputError as error:
            said = error.__cause__ if isinstance(error.__cause__, InputError) else error
            raise InputError(f"{name}: {unsent(said)}") from error
    return tuple(turns)


def _asked(asking: Recipe, row: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the messages that a row of one example asks; images and documents are its own to have, or not."""
    documents, images = (
        tuple(one for one in columns if places_of(row.columns, one)) for columns in (asking.documents, asking.images)
    )
    asking = dataclasses.replace(asking, documents=documents, images=images)
    question = next(read_questions(asking, row))
    if question.content is None:
        raise InputError(f"{question.note}")
    slot, sent = question.slot, question.content.sent
    if slot == PARAMS:
        raise InputError("the template function returned params; of examples, it may return text, blocks or messages")
    if slot == MESSAGES:
        messages: list[dict[str, Any]] = msgspec.json.decode(sent)
        if messages[-1].get("role") != "user":
            raise InputError("its messages do not end with the user's, which the answer would follow")
        return messages
    content = msgspec.json.decode(b"[" + sent + b"]" if slot == BLOCKS else sent)
    return [{"role": "user", "content": content}]


# Reading what was given: the name of each example, its row as a frame, and its answer.

_Example = tuple[str, pd.DataFrame, Any]


def _of_list(examples: Any, recipe: Recipe, frame: pd.DataFrame) -> Iterator[_Example]:
    if isinstance(examples, str | bytes | Mapping) or not isinstance(examples, Sequence):
        raise InputError(f"{FORM}; not {type(examples).__name__}. {NOT_SENT}")
    media = (*recipe.documents, *recipe.images)
    reads = None if callable(recipe.template) else _distinct((*recipe.compiled(frame).columns, *media))
    for number, one in enumerate(examples):
        name = f"examples[{number}]"
        asked, answer = _pair(one, name)
        cells = _cells(asked, recipe, reads, name, media)
        yield name, pd.DataFrame([list(cells.values())], columns=_labels(list(cells), frame), dtype=object), answer


def _pair(one: Any, name: str) -> tuple[Any, Any]:
    if isinstance(one, Mapping):
        if not {"input", "answer"} <= one.keys() <= {"input", "answer", "rationale"}:
            raise InputError(f'{name} has the names {list(one)}, not "input" and "answer". {FORM}. {NOT_SENT}')
        return one["input"], _explained(one["answer"], one.get("rationale"))
    if isinstance(one, tuple | list) and len(one) == 2:
        return one[0], one[1]
    raise InputError(f"{name} is no pair. {FORM}. {NOT_SENT}")


def _cells(
    asked: Any, recipe: Recipe, reads: Sequence[Hashable] | None, name: str, media: Sequence[Hashable]
) -> dict[Hashable, Any]:
    """Return the cells of an example's row: of the columns that the template reads, or all that a function may.

    Those of `media` may be left out.
    """
    if isinstance(asked, pd.Series):
        asked = asked.to_dict()
    if not isinstance(asked, Mapping):
        own = recipe.column if reads is None or places_of(reads, recipe.column) else reads[0]
        if reads is not None and len(reads) > 1:
            names = ", ".join(repr(str(column)) for column in reads)
            raise InputError(
                f"{name}: the template reads the columns {names}: give the input as a dict of them. {NOT_SENT}"
            )
        return {own: asked}
    if reads is None:
        return {recipe.column: None, **asked}
    given = list(asked)
    places = {place: places_of(given, column) for place, column in enumerate(reads)}
    for place, found in places.items():
        if not found and not places_of(media, reads[place]):
            raise InputError(f"{name}: its input lacks {str(reads[place])!r}, which the template reads. {NOT_SENT}")
    values = list(asked.values())
    return {reads[place]: values[found[0]] for place, found in places.items() if found}


def _of_frame(examples: pd.DataFrame, recipe: Recipe, frame: pd.DataFrame) -> Iterator[_Example]:
    if callable(recipe.template):
        reads: list[Hashable] = [column for column in examples.columns if places_of(frame.columns, column)]
        taken: list[Hashable] = [recipe.column]
    else:
        reads = list(recipe.compiled(frame).columns)
        taken = list(reads)
    for column in taken:
        if len(places_of(examples.columns, column)) != 1:
            raise InputError(f"examples= has no column {str(column)!r}, which the template reads. {NOT_SENT}")
    media = [column for column in (*recipe.documents, *recipe.images) if places_of(examples.columns, column)]
    reads = list(_distinct((*reads, *media)))
    answers = _answers(examples, recipe, (*taken, *media))
    asked = bare(examples).iloc[:, [places_of(examples.columns, column)[0] for column in reads]]
    for position, answer in enumerate(answers):
        name = f"examples=, {row_name(examples, position)[0].lower()}{row_name(examples, position)[1:]}"
        yield name, asked.iloc[position : position + 1], answer


def _distinct(labels: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Return each label once, by what it reads: as a template names it."""
    return tuple({str(label): label for label in labels}.values())


def _labels(labels: list[Hashable], frame: pd.DataFrame) -> pd.Index[Any]:
    """Return labels of a frame's columns as columns of another frame: each as it is, of several levels or one."""
    tuples = [label for label in labels if isinstance(label, tuple)]
    if isinstance(frame.columns, pd.MultiIndex) and len(tuples) == len(labels):
        return pd.MultiIndex.from_tuples(tuples)
    return pd.Index(labels, dtype=object, tupleize_cols=False)


def _answers(examples: pd.DataFrame, recipe: Recipe, taken: Sequence[Hashable]) -> list[Any]:
    """Find the answers in a frame of examples: in one column, or in one for each of a schema's fields."""
    free = {name_of(column): column for column in examples.columns if not places_of(taken, column)}
    fields = _paths(recipe.reply)
    names = {
        field: next((name for name in (f"{recipe.into}_{field}", field) if name in free), None) for field in fields
    }
    one = next((name for name in (recipe.into, "answer") if name in free), None)
    if one is None and fields and all(name is not None for name in names.values()):
        columns = [column_values(examples, free[str(name)]) for name in names.values()]
        return [_nested(fields.values(), values) for values in zip(*columns, strict=True)]
    if one is None:
        each = f", or one for each of {', '.join(map(repr, fields))}" if len(fields) > 1 else ""
        raise InputError(
            f"examples= has no answers: they go into a column {recipe.into!r} or 'answer'{each}. {NOT_SENT}"
        )
    answers = column_values(examples, free[one])
    reasons = names.get("rationale")
    if reasons is None:
        return answers
    return [_explained(*pair) for pair in zip(answers, column_values(examples, free[reasons]), strict=True)]


def _paths(reply: Reply) -> dict[str, tuple[str, ...]]:
    """Return where the fields of an answer stand in it, by the names that they have as columns."""
    if isinstance(reply, SchemaReply):
        return {one.name: one.path for one in reply.fields}
    return {name: (name,) for name in _properties(reply)}


def _nested(paths: Iterable[tuple[str, ...]], values: Iterable[Any]) -> dict[str, Any]:
    """Put an answer together; an object within it of which no field is there, is not there itself."""
    answer: dict[str, Any] = {}
    inner: dict[str, list[tuple[tuple[str, ...], Any]]] = {}
    for (name, *below), value in zip(paths, values, strict=True):
        answer[name] = _plain(value)
        if below:
            inner.setdefault(name, []).append((tuple(below), value))
    for name, parts in inner.items():
        found = _nested(*zip(*parts, strict=True))
        answer[name] = None if all(one is None for one in found.values()) else found
    return answer


def _explained(answer: Any, rationale: Any) -> Any:
    if rationale is None or isinstance(answer, Mapping):
        return answer
    name = "labels" if isinstance(answer, list | tuple | set) else "label"
    return {"rationale": rationale, name: answer}


# Writing an answer as the model would


def _properties(reply: Reply) -> Mapping[str, Any]:
    wanted = reply.output_format()
    found: Mapping[str, Any] = {} if wanted is None else wanted["schema"].get("properties", {})
    return found


def _written(reply: Reply, answer: Any) -> str:
    """Write an answer as a reply is written, and make sure that it would be read as one."""
    value = _plain(answer)
    if value is None:
        raise InputError("it has no answer")
    wanted = reply.output_format()
    text = _as_text(value) if wanted is None else _as_json(value, wanted["schema"])
    if (half := half_character(text)) is not None:
        raise InputError(f"its answer holds {half}")
    try:
        reply.read(text)
    except MisfitError as error:
        raise InputError(f"its answer is none that a reply could give ({error}): {text[:200]}") from error
    return text


def _as_text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise InputError(f"its answer is text, not {type(value).__name__}, since the reply is text")
    text = cell_text(value)
    if not text.strip():
        raise InputError("its answer is blank")
    return text


def _as_json(value: Any, schema: Mapping[str, Any]) -> str:
    properties = schema.get("properties", {})
    if not isinstance(value, dict):
        name = next((name for name in ("label", "labels") if name in properties), None)
        if name is None:
            raise InputError(f"its answer is a dict of the schema's fields, not {type(value).__name__}")
        value = {name: value}
    unknown = [name for name in value if name not in properties]
    if unknown:
        raise InputError(f"its answer has {unknown[0]!r}, which is none of {', '.join(map(repr, properties))}")
    if "rationale" in properties and value.get("rationale") is None:
        raise InputError('explain=True asks for a rationale too: {"input": ..., "answer": ..., "rationale": "..."}')
    return json.dumps(_ordered(value, schema, schema), ensure_ascii=False)


def _ordered(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """Put an answer into the form of its schema: fields in its order, in which replies are written, and its types."""
    schema = _resolved(schema, root)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        known = [name for name in properties if name in value]
        names = [*known, *(name for name in value if name not in properties)]
        return {name: _ordered(value[name], properties.get(name, {}), root) for name in names}
    if isinstance(value, list):
        return [_ordered(one, schema.get("items", {}), root) for one in value]
    kinds = [schema, *schema.get("anyOf", ())]
    if isinstance(value, float) and value.is_integer() and any(kind.get("type") == "integer" for kind in kinds):
        return int(value)  # one missing value makes floats of a whole column
    if isinstance(value, str) and any(kind.get("format") == "date" for kind in kinds):
        return value.removesuffix("T00:00:00")  # of a date, pandas makes a time
    return value


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference within the schema; of alternatives, take the one that is an object or a list."""
    if not isinstance(schema, Mapping):
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        found: Any = root
        for name in reference[2:].split("/"):
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
        return _resolved(found, root) if found is not schema else {}
    for one in schema.get("anyOf", ()):
        inner = _resolved(one, root)
        if "properties" in inner or "items" in inner:
            return inner
    return schema


def _plain(value: Any) -> Any:
    """Return what Pydantic, dataclasses, pandas or NumPy made of an answer as JSON has it; missing is None."""
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    value = own_value(value)
    if hasattr(value, "tolist"):  # an array, or a number of NumPy's
        return _plain(value.tolist())
    if isinstance(value, datetime | date):
        return None if pd.isna(value) else value.isoformat()
    return None if is_missing(value) else value
