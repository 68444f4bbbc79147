"""Does any damaged table, card or state crash, hang, fill the memory or pass with a value that cannot be?

python benchmarks/fuzz_tables.py [--cases 100000] [--seed 1] [--out results.json]

Each case is a valid file of one of the kinds below, damaged in what it says (cells, columns, keys, values, encodings,
separators), in its bytes, or in both. Digests that guard a file are made anew, so that the damage reaches the checks
behind them; the bytes are damaged after that. Reading must give values within their documented bounds or a
`BiranetError`. A case that kills the child, takes longer than five seconds or more than 500 MiB, warns, or raises
anything else is a find, named by its number: the same seed and number make the same bytes.
"""

import contextlib
import io
import math
import random
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from damage import damage_rows
from fuzz_samples import GRADES, Samples, corrupt, write, write_rows
from fuzz_stored import (
    arrays,
    checkpoint,
    history,
    journal,
    model_card,
    preparation,
    recipe,
    report,
    settings,
    state,
    whole_checkpoint,
)  # fmt: skip
from fuzzing import Maker, fuzz

# What people exchange: tables


def labels(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """A label table, of our columns or of a published data set."""
    from biranet.manifest import SPLITS
    from biranet.photos.datasets import LabelSource, read_labels

    names = sorted(path.name for path in samples.photos.glob("*.jpg"))
    grades = [row[1] for row in samples.labels[1:]]
    header, ending = rng.choice(
        (
            (("file", "grade", "group", "eye", "split"), ".csv"),
            (("file", "grade", "group", "eye", "split"), ".tsv"),
            (("image", "level"), ".csv"),
            (("id_code", "diagnosis"), ".csv"),
            (("image_id", "adjudicated_dr_grade", "adjudicated_gradable"), ".csv"),
            (("Image name", "Retinopathy grade"), ".csv"),
            (("image_id", "DR_Levels"), ".csv"),
            (("", ""), ".txt"),
        )
    )
    stems = {"level": "{}_left", "diagnosis": "{:012x}", "Retinopathy grade": "IDRiD_{:03d}", "DR_Levels": "{}_l1"}
    rows = [list(header)] if any(header) else []
    for number, (name, grade) in enumerate(zip(names, grades, strict=True), start=1):
        known = stems[header[1]].format(number) if header[1] in stems and rng.random() < 0.7 else name
        rows.append([known, grade, *{2: (), 3: ("1",), 5: (f"p{number // 2}", "left", "train")}[len(header)]])
    named = rng.choice(("auto", "auto", "csv"))
    columns = {"file": header[0], "grade": header[1]} if named == "csv" and any(header) else {}
    file = "train.txt" if ending == ".txt" else f"table{ending}"
    source = LabelSource(write_rows(samples.workdir / "labels" / file, rows, rng), named, columns)

    def read() -> None:
        for photo in read_labels(samples.photos, source).photos:
            assert photo.grade is None or photo.grade in GRADES, photo
            assert photo.eye in ("", "left", "right"), photo
            assert photo.split in ("", *SPLITS), photo
            assert photo.file, photo

    return read


def parquet(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """A label table in Parquet."""
    import pandas as pd

    from biranet.photos.datasets import LabelSource, read_labels

    rows = damage_rows(samples.labels, rng)
    width = max(map(len, rows))
    header = [rows[0][at] if at < len(rows[0]) else f"c{at}" for at in range(width)]
    cells = [[row[at] if at < len(row) else None for at in range(width)] for row in rows[1:]]
    file = io.BytesIO()
    with contextlib.suppress(Exception):  # not everything that is damaged can be written as Parquet
        table = pd.DataFrame(cells, columns=header)
        if rng.random() < 0.5 and "grade" in header:
            table["grade"] = rng.choice((math.nan, 3.0, math.inf, True, 2**62, b"1", [1]))
        table.to_parquet(file)
    source = LabelSource(write(samples.workdir / "labels" / "table.parquet", corrupt(file.getvalue(), rng, 0.5)))

    def read() -> None:
        assert all(photo.grade is None or photo.grade in GRADES for photo in read_labels(samples.photos, source).photos)

    return read


def predictions(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """A table of predictions, with or without the answers of rules."""
    from biranet.decisions.columns import has_decisions, has_probabilities, probabilities
    from biranet.decisions.predictions import read_predictions

    header = ["file", "group", "grade", "predicted_grade", "p0", "p1", "p2", "p3", "p4", "eye", "status"]
    answers = ["temperature", "decision", "lowest_grade", "highest_grade", "refer_youden"] * (rng.random() < 0.6)
    rows = [header + answers]
    for number in range(6):
        shares = ["0.125"] * 4 + ["0.5"]
        row = [f"{number}.jpg", f"p{number // 2}", str(number % 5), "4", *shares, rng.choice(("left", "")), "ok"]
        rows.append(row + (["1.5", "refer", "3", "4", "1"] if answers else []))
    path = write_rows(samples.workdir / "report" / "table.csv", rows, rng)

    def read() -> None:
        table = read_predictions(path)
        assert len(table)
        assert table["grade"].isin(GRADES).all()
        assert table["predicted_grade"].isin(GRADES).all()
        assert (table[["file", "group"]].map(str.strip) != "").all(axis=None)
        if has_probabilities(table):
            assert table["p0"].between(0, 1).all() or (probabilities(table) >= 0).all()
            assert np.abs(probabilities(table).sum(axis=1) - 1).max() < 0.03
        if has_decisions(table):
            assert table["temperature"].between(0, math.inf, inclusive="neither").all()
            assert table["lowest_grade"].isin(GRADES).all()
            assert (table["highest_grade"] >= table["lowest_grade"]).all()

    return read


def manifest(samples: Samples, rng: random.Random) -> Callable[[], object]:
    """The manifest of a prepared folder."""
    from biranet.manifest import MANIFEST_NAME, SPLITS, STATUSES, read_manifest

    folder = samples.workdir / "labels"
    write_rows(folder / MANIFEST_NAME, samples.manifest, rng)

    def read() -> None:
        table = read_manifest(folder)
        assert (table["grade"].isna() | table["grade"].isin(GRADES)).all()
        assert table["eye"].isin(("", "left", "right")).all()
        assert table["status"].isin(STATUSES).all()
        assert table["split"].isin(("", *SPLITS)).all()

    return read


KINDS = (
    *(labels, labels, labels, predictions, predictions, manifest, manifest, labels, predictions, recipe, model_card),
    *(checkpoint, checkpoint, settings, preparation, labels, predictions, report, report, history, state, arrays),
    *(recipe, model_card),
)
"""The kinds in turn; every hundredth case is a slow one."""

SLOW_KINDS = (journal, parquet, whole_checkpoint)


def make_case(samples: Samples, seed: int, case: int) -> tuple[str, Callable[[], str]]:
    """The kind of a case, and what reads it; the file is written, the same for the same numbers."""
    rng = random.Random(f"{seed} {case}")
    kind = SLOW_KINDS[case // 100 % len(SLOW_KINDS)] if case % 100 == 0 else KINDS[case % len(KINDS)]
    return kind.__name__, partial(_read, kind(samples, rng))


def _read(read: Callable[[], object]) -> str:
    from biranet.errors import BiranetError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read()
    except BiranetError:
        return "refused"
    return "read"


def begin(workdir: str) -> Maker:
    samples = Samples(Path(tempfile.mkdtemp(dir=workdir)))
    return partial(make_case, samples)


def main() -> None:
    with tempfile.TemporaryDirectory() as workdir:
        fuzz(str(__doc__), partial(begin, workdir), kind="kind", limit_seconds=5, limit_mib=500)


if __name__ == "__main__":
    main()
