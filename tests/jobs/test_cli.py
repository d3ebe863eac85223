"""The command line, run as a person runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BATCHNB_"))}
    return kept | {"BATCHNB_HOME": str(tmp_path / "home"), "PYTHONIOENCODING": "utf-8"}


def batchnb(*arguments, environment, cwd):
    return subprocess.run(
        [sys.executable, "-m", "batchnb", *arguments],
        capture_output=True, text=True, encoding="utf-8", env=environment, cwd=cwd, timeout=120,
    )  # fmt: skip


def test_the_demo_labels_the_sample_and_says_what_came_of_it(environment, tmp_path):
    done = batchnb("demo", environment=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "240 rows" in done.stdout
    assert "234 succeeded" in done.stdout
    assert "6 skipped" in done.stdout
    assert re.search(r"Accuracy: \d+\.\d% of 234", done.stdout)
    assert re.search(r"would have cost \$\d", done.stdout)
    assert "01-quickstart.ipynb" in done.stdout
    assert "SIMULATED" in done.stdout
    assert "4 of 4 batches ended" in done.stderr
    assert not (tmp_path / "home").exists()


def test_the_demo_takes_any_csv_with_a_template_of_ones_own(environment, tmp_path):
    path = tmp_path / "my file.csv"
    path.write_text("n,a b{c}\n1,one\n2,two\n3,\n", encoding="utf-8")
    done = batchnb(
        "demo",
        "--csv",
        path,
        "--column",
        "a b{c}",
        "--template",
        "Echo: {a b{c}}",
        environment=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "2 succeeded" in done.stdout
    assert "1 skipped" in done.stdout
    assert re.search(r"one\s+one\s+succeeded", done.stdout)


def test_the_demo_takes_labels_and_gold_answers(environment, tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("text,gold\nwonderful and great,good\nterrible and awful,bad\n", encoding="utf-8")
    done = batchnb("demo", "--csv", path, "--column", "text", "--gold", "gold", environment=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Labels: bad, good" in done.stdout
    assert re.search(r"Accuracy: \d+\.\d% of 2", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--csv", "nowhere.csv", "--column", "x"], "nowhere.csv cannot be read"),
        (["--csv", "data.csv"], "--csv needs --column"),
        (["--csv", "data.csv", "--column", "revew"], "Did you mean 'review'"),
        (["--csv", "data.csv", "--column", "review", "--gold", "no"], "--gold: the file has no column 'no'"),
        (["--csv", "data.csv", "--column", "review", "--labels", "one"], "at least two labels"),
        (["--csv", "data.csv", "--column", "review", "--template", "Hi"], "names no column"),
        (["--csv", "empty.csv", "--column", "review"], "no rows"),
    ],
)
def test_the_demo_refuses_what_it_cannot_use_in_one_line(arguments, said, environment, tmp_path):
    (tmp_path / "data.csv").write_text("review\ngood\n", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("review\n", encoding="utf-8")
    done = batchnb("demo", *arguments, environment=environment, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_jobs_lists_the_ledger(environment, tmp_path):
    done = batchnb("jobs", environment=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no jobs" in done.stdout


def test_simulate_serves_on_loopback_until_it_is_told_to_stop(environment, tmp_path):
    import urllib.error
    import urllib.request

    server = subprocess.Popen(
        [sys.executable, "-m", "batchnb", "simulate"], stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    )
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())[0]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/v1/messages/batches")
        with refused.value:
            assert refused.value.code == 401
            assert refused.value.headers["batchnb-simulator"]
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
        server.stdout.close()


def test_the_readme_has_one_command_for_the_main_job_and_one_for_the_tests():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL)
    assert len(commands) == 2
    assert all("\n" not in command and command.startswith("python3 -m venv .venv && ") for command in commands)
    assert commands[0].endswith("-m batchnb demo")
    assert commands[1].endswith("-m pytest")
    for linked in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / linked).exists(), linked


#: What a terminal obeys: an escape sequence that clears it, one that sets its title, a mark that turns what is read.
NASTY = "a\x1b[2Jb\x1b]0;title\x07c\u202ed\u2066e\x9bf\x7f"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_nothing_that_a_table_holds_reaches_the_terminal_as_it_is(environment, tmp_path):
    (tmp_path / "n.csv").write_text(
        f'"{NASTY}","gold {NASTY}"\n"good {NASTY}","p{NASTY}"\n"bad","n{NASTY}"\n', encoding="utf-8"
    )
    for column, gold in ((NASTY, f"gold {NASTY}"), (f"x{NASTY}", None), (NASTY, f"no {NASTY}")):
        options = ["--csv", "n.csv", "--column", column, *(["--gold", gold] if gold else [])]
        done = batchnb("demo", *options, environment=environment, cwd=tmp_path)
        assert not OBEYED.search(done.stdout), ascii(done.stdout)
        assert not OBEYED.search(done.stderr), ascii(done.stderr)
    assert done.returncode == 2


def test_neither_does_what_a_job_or_its_rows_are_called(environment, tmp_path):
    nowhere = {**environment, "ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "ANTHROPIC_API_KEY": "not-a-key"}
    script = (
        "import os, sys, pandas as pd, batchnb\n"
        "frame = pd.DataFrame({sys.argv[1]: ['x']})\n"
        "job = frame.batch.submit(sys.argv[1], name=sys.argv[1], into=sys.argv[1] + '2')\n"
        "print(repr(job))\n"
        "try:\n    frame.batch.submit(sys.argv[1], into=sys.argv[1])\n"
        "except batchnb.InputError as error:\n    print(error)\n"
        "try:\n    batchnb.attach(sys.argv[1])\n"
        "except batchnb.JobNotFoundError as error:\n    print(error)\n"
        "sys.stdout.flush(); os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, NASTY],
        capture_output=True, text=True, encoding="utf-8", env=nowhere, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.stdout.count(r"a\x1b[2Jb") >= 3  # the repr of a name is harmless by itself
    assert not OBEYED.search(done.stdout + done.stderr), ascii(done.stdout + done.stderr)
    for command, name in (("jobs", "a␛[2Jb"), ("collect", r"a\x1b[2Jb")):
        done = batchnb(command, environment=nowhere, cwd=tmp_path)
        assert name in done.stdout
        assert not OBEYED.search(done.stdout + done.stderr), ascii(done.stdout)


FOUR = "great one,positive\nterrible one,negative\ngreat two,negative\nterrible two,positive"


@pytest.mark.parametrize("gold", ["label", "label_status", "label_error", "reply", "label_2"])
def test_the_demo_replaces_no_column_of_the_file_and_its_figure_is_right(environment, tmp_path, gold):
    path = tmp_path / "g.csv"
    path.write_text(f"text,{gold}\n{FOUR}\n", encoding="utf-8")
    done = batchnb("demo", "--csv", path, "--column", "text", "--gold", gold, environment=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Accuracy: 50.0% of 4 answered rows agree with '{gold}'" in done.stdout
    for line in FOUR.splitlines():
        assert re.search(line.replace(",", r"\s+"), done.stdout)


def test_the_demo_labels_a_column_called_label_or_batch(environment, tmp_path):
    for column in ("label", "batch"):
        path = tmp_path / "g.csv"
        path.write_text(f"{column}\ngreat\nawful\n", encoding="utf-8")
        done = batchnb("demo", "--csv", path, "--column", column, environment=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "2 succeeded" in done.stdout


def test_a_review_that_reads_none_is_a_review_to_the_demo(environment, tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("text,stars\nNone,1\nNA,2\nnan,\n,3\n", encoding="utf-8")
    done = batchnb("demo", "--csv", path, "--column", "text", "--gold", "stars", environment=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 succeeded" in done.stdout
    assert "1 missing value in 'text'" in done.stdout
    assert "Labels: 1, 2, 3" in done.stdout
