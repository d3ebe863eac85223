"""The main job from a shell: a CSV, or the sample, labelled on a simulator. Leaves nothing behind."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from batchnb.api.addresses import simulator_client
from batchnb.demo import sample
from batchnb.display.job.words import cost_words
from batchnb.errors import InputError
from batchnb.jobs.job import Job
from batchnb.jobs.workspace import Workspace
from batchnb.questions.cells import cell_text

__all__ = ["add_arguments", "run"]

SENTIMENTS = ["positive", "negative", "neutral"]

#: More different gold values than this are no set of labels.
MOST_LABELS = 50

#: Rows and characters of the table that is printed.
SHOWN_ROWS, SHOWN_CHARACTERS = 12, 44


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options to a parser."""
    parser.add_argument("--csv", metavar="FILE", help="label this CSV instead of the 240 sample reviews")
    parser.add_argument("--column", metavar="NAME", help="the column to label (with --csv)")
    parser.add_argument("--template", metavar="T", help='the prompt, such as "Classify this review: {review}"')
    parser.add_argument("--labels", metavar="a,b,c", help="the labels to choose from (default: those of --gold)")
    parser.add_argument("--gold", metavar="NAME", help="a column of right answers, to count how many are met")


def run(args: argparse.Namespace) -> int:
    """Label the rows on a simulator of its own, print what came of it, and return the exit status.

    Raises
    ------
    InputError
        The file, a column or an option cannot be used.
    """
    frame, column, gold = _input(args)
    labels = _labels(args, frame, gold)
    template = args.template or _template(column, labels)
    with _simulated_workspace() as workspace:
        print(f"{len(frame):,} rows · SIMULATED: answers are made up from word evidence, no key, no cost")
        print(f"Prompt: {template}" + (f"   Labels: {', '.join(labels)}" if labels else ""))
        into = _free_name("label" if labels else "reply", set(frame.columns))
        job = frame.batch.submit(column, template, labels=labels, into=into, name="demo", workspace=workspace)
        out = job.result()
        _report(out, job, into, column, gold)
    return 0


def _input(args: argparse.Namespace) -> tuple[pd.DataFrame, str, str | None]:
    if args.csv is None:
        return sample(), args.column or "review", args.gold or "sentiment"
    if args.column is None:
        raise InputError("--csv needs --column: the name of the column to label.")
    try:
        # Only an empty cell is missing: a review that reads "None" or "n/a" is a review.
        frame = pd.read_csv(args.csv, keep_default_na=False, na_values=[""])
    except (OSError, ValueError, EOFError, BadZipFile) as error:  # pandas' parser and encoding errors are ValueErrors
        raise InputError(f"{args.csv} cannot be read as a CSV: {error}") from error
    if args.gold is not None and args.gold not in frame.columns:
        raise InputError(f"--gold: the file has no column {args.gold!r}. It has: {', '.join(map(str, frame.columns))}.")
    return frame, args.column, args.gold


def _labels(args: argparse.Namespace, frame: pd.DataFrame, gold: str | None) -> list[str] | None:
    if args.labels:
        return [label.strip() for label in args.labels.split(",") if label.strip()]
    if args.csv is None and args.template is None:
        return SENTIMENTS
    if args.template is not None:
        return None  # a prompt of one's own, with no labels named, asks for text
    if gold is None:
        return SENTIMENTS
    values = sorted({cell_text(value) for value in frame[gold].dropna()})
    if not 2 <= len(values) <= MOST_LABELS:
        raise InputError(f"--gold: {gold!r} has {len(values)} different values; name the labels with --labels a,b,c.")
    return values


def _free_name(stem: str, taken: set[str]) -> str:
    """Return a name for the new column by which it replaces none of the file's, gold labels above all."""
    names = [stem, *(f"{stem}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if not taken & {name, f"{name}_status", f"{name}_error"})


def _template(column: str, labels: list[str] | None) -> str:
    if labels is not None and set(labels) <= {*SENTIMENTS, "mixed"}:
        return f"Classify the sentiment of this review: {{{column}}}"
    return f"Choose the label that fits this text best: {{{column}}}"


@contextmanager
def _simulated_workspace() -> Iterator[Workspace]:
    from batchnb.sim import Simulator

    with (
        tempfile.TemporaryDirectory(prefix="batchnb-demo-") as home,
        Simulator(own_key=True, seed=1) as simulator,
        simulator_client(simulator.url, simulator.key) as client,
    ):
        workspace = Workspace(client, home=home, max_poll=1.0)
        try:
            yield workspace
        finally:
            workspace.close()


def _report(out: pd.DataFrame, job: Job, into: str, column: str, gold: str | None) -> None:
    names = [column, *([gold] if gold else []), into, f"{into}_status", f"{into}_error"]
    shown = out.loc[:, list(dict.fromkeys(names))].head(SHOWN_ROWS).map(_short)
    print(f"\nThe first {len(shown)} of {len(out):,} rows, with the new columns [SIMULATED]:\n")
    with pd.option_context("display.unicode.east_asian_width", True, "display.width", 200):
        print(shown.to_string())
    print("\nOutcomes:", " · ".join(f"{count:,} {outcome}" for outcome, count in job.counts.items()))
    if job.counts.get("skipped"):
        reasons = out.loc[out[f"{into}_status"] == "skipped", f"{into}_error"].value_counts()
        print("Skipped: ", " · ".join(f"{count} {reason}" for reason, count in reasons.items()))
    if gold is not None:
        _report_accuracy(out, into, gold)
    snapshot, usage = job.snapshot(), job.usage
    print(
        f"Cost:     {cost_words(snapshot)} at batch rates for {snapshot.model} "
        f"({usage.requests:,} requests, {usage.prompt_tokens:,} tokens in, {usage.output_tokens:,} out)"
    )
    print("\nOpen the notebook:  .venv/bin/jupyter lab notebooks/01-quickstart.ipynb")
    print("                    (after: .venv/bin/pip install '.[notebook]')")


def _report_accuracy(out: pd.DataFrame, into: str, gold: str) -> None:
    judged = out[out[gold].notna() & out[into].notna()]
    if judged.empty:
        print("Accuracy: no answered row has a gold label")
        return
    # As texts, as prompts have them: one empty cell makes 1.0 of a column's 1.
    right = judged[into].map(cell_text).astype(str) == judged[gold].map(cell_text).astype(str)
    print(f"Accuracy: {right.mean():.1%} of {len(judged):,} answered rows agree with {gold!r} [SIMULATED]")
    if "language" in judged.columns:
        parts = right.groupby(judged["language"]).mean()
        print("          by language:", " · ".join(f"{language} {share:.1%}" for language, share in parts.items()))


def _short(value: Any) -> Any:
    if not isinstance(value, str):
        return "" if pd.isna(value) else value
    # Escape sequences and line breaks in the data must not reach the terminal.
    text = "".join(letter if letter.isprintable() else " " for letter in value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
