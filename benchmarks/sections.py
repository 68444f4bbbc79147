"""What the benchmarks' page says of each benchmark: tables as Markdown, from its results alone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from charts import draw_bars, draw_lines, draw_shares

Results = Mapping[str, Any]

GRADING_AIMS = {
    "ours_over_eager": ("one process over torch eager", 1.5),
    "ours_over_plain": ("one process over the plain script", 3),
    "ours_over_limit": ("one process over the limit", 0.8),
}
COLD_AIMS = {"grade one": ("grade", 2.0), "help": ("--help", 0.3)}
COLD_OVER_LIMIT = 1.3


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def reached(value: float, aim: float, *, at_least: bool) -> str:
    """Whether a figure is what was aimed at."""
    return "yes" if (value >= aim if at_least else value <= aim) else "**no**"


def grade(results: Results) -> str:
    speed, cold = results["photos_per_second"], results["cold_seconds"]
    names = {
        "ours": "ours, one process",
        "ours, two workers": "ours, two workers",
        "eager": "ours by torch, eager, as it was before ONNX Runtime",
        "plain": "plain script: full decode, resize, torch eager, photo by photo",
        "limit": "limit: scaled decode and bare ONNX Runtime",
        "larger limit": "the same, decoded at the scale at which a photo can be judged",
    }
    aims = [
        (f"{name}", results[key], f"at least {aim}", reached(results[key], aim, at_least=True))
        for key, (name, aim) in GRADING_AIMS.items()
    ]
    ratio = results["cold_over_its_limit"]
    upper = [("cold start over its limit", ratio, COLD_OVER_LIMIT)]
    upper += [(f"seconds of a cold `biranet {words}`", cold[key], aim) for key, (words, aim) in COLD_AIMS.items()]
    aims += [(name, value, f"at most {aim:g}", reached(value, aim, at_least=False)) for name, value, aim in upper]

    def more(package: str) -> float:
        """Seconds of importing a package, beyond those in which Python starts."""
        return round(cold[package] - cold["python"], 2)

    return "\n\n".join(
        [
            table(("way", "photos a second"), ((names[way], value) for way, value in speed.items())),
            f"Two workers are {results['two_workers_over_one']} times as fast as one process. A cold `biranet grade` "
            f"of one photo takes {cold['grade one']} s, its limit (to import ONNX Runtime and Pillow, load the model, "
            f"decode and compute) {cold['limit of one']} s.",
            table(("", "measured", "aim", "reached"), aims),
            "What lies between it and its limits: a photo is judged on 384 px, so the full-size ones are decoded at "
            "twice the scale of the limit. Of the limit at that scale, one process reaches "
            f"{results['ours_over_larger_limit']}; the rest finds the field, judges it, and codes the square, so that "
            f"graded pixels are those of training. Of a cold start, {more('tyro')} s go to the package that reads the "
            f"flags and {more('pydantic')} s to the one that checks the description of the model; the limit has "
            "neither, nor our own modules.",
        ]
    )


def grade_chart(results: Results) -> Figure:
    return draw_bars(results["photos_per_second"], "photos a second", ours=("ours", "ours, two workers"))


def prepare(results: Results) -> str:
    names = {
        "ours": "ours, one worker",
        "ours, two workers": "ours, two workers, all start-up included",
        "plain": "plain: full decode, Resize(610), CenterCrop(610), as in torchvision",
        "box": "box: full decode, bounding box, Lanczos",
        "limit": "limit: the scaled decode alone",
    }
    over = {name: results[f"ours_over_{name}"] for name in ("plain", "box", "limit")}
    rows = [(names[way], speed, over.get(way, "")) for way, speed in results["photos_per_second"].items()]
    return "\n\n".join(
        [
            table(("way", "photos a second", "ours, one worker, is so many times as fast"), rows),
            f"Two workers are {results['two_workers_over_one']} times as fast as one. Against the full decode, cut to "
            f"the same square and averaged over areas, inside the field, JPEG writing included: "
            f"{results['psnr_worst_db']} dB for the worst photo, {results['psnr_median_db']} dB for the median one.",
        ]
    )


def prepare_chart(results: Results) -> Figure:
    return draw_bars(results["photos_per_second"], "photos a second", ours=("ours", "ours, two workers"))


def evidence(results: Results) -> str:
    rows = []
    for name, its in results["models"].items():
        ways, apart = its["milliseconds"], its["apart"]
        cells = (f"{apart[engine][photo]:.0e}" for engine in ("onnx", "openvino") for photo in ("middle", "worst"))
        rows.append([f"`{name}`", ways["without"], ways["with"], ways["ratio"], *cells])
    head = ["model", "ms a photo without", "with", "ratio"]
    apart_of = [
        f"{engine}, {photo} of {results['photos']}"
        for engine in ("ONNX Runtime", "OpenVINO")
        for photo in ("middle photo", "worst")
    ]
    return table([*head, *apart_of], rows)


def model(results: Results) -> str:
    rows = [(name, *row.values()) for name, row in results["steps"].items()]
    return table(("what", "ours, seconds", "peer, seconds", "peer over ours"), rows)


def model_chart(results: Results) -> Figure:
    return draw_bars({name: row["peer_over_ours"] for name, row in results["steps"].items()}, "peer over ours, in time")


def intervals(results: Results) -> str:
    return (
        f"{results['photos']:,} photos in {results['groups']:,} groups, {results['resamples']:,} resamples: "
        f"{results['seconds']} s by the clock and {results['processor_seconds']} s of processors with "
        f"{results['threads']} threads. scikit-learn, extrapolated from a few resamples: "
        f"{results['scikit_learn_processor_seconds_extrapolated']} s, {results['scikit_learn_over_ours']} "
        "times as long."
    )


def audit(results: Results) -> str:
    distances, search = results["distances"], results["search"]
    pairs = distances["all pairs of photos"]
    copies = [(name, *row.values()) for name, row in distances["copies"].items()]
    rows = [
        (
            f"{row['photos']:,}", row["seconds"], row.get("seconds_comparing_all", ""),
            f"{100 * row['share_of_pairs_found']:g} %" if "share_of_pairs_found" in row else "",
        )
        for row in search["searches"]
    ]  # fmt: skip
    powers = ", ".join(map(str, search["growth_exponents"]))
    closest = ", ".join(f"{distance:g}" for distance in pairs["closest"])
    return "\n\n".join(
        [
            f"Distances of copies of every fifth of {distances['photos']} photos; up to {distances['threshold']} "
            "counts as near-identical, and *missed* is the share beyond that:",
            table(("copy", "median", "95 %", "99 %", "largest", "missed"), copies),
            f"Of all pairs of photos {pairs['at most the threshold']} is at most that far apart; the closest are "
            f"{closest}, the median {pairs['median']}. A fingerprint takes "
            f"{distances['milliseconds a photo, with reading']} ms, with reading the photo.",
            table(("fingerprints", "seconds", "seconds comparing all", "pairs found, of those"), rows),
            f"Time grows with these powers of the number, step by step: {powers}.",
        ]
    )


def audit_chart(results: Results) -> Figure:
    rows = results["search"]["searches"]
    lines = {
        "ours": [(row["photos"], row["seconds"]) for row in rows],
        "comparing all": [
            (row["photos"], row["seconds_comparing_all"]) for row in rows if "seconds_comparing_all" in row
        ],
    }
    return draw_lines(lines, "fingerprints", "seconds")


FOLDERS = {"idrid": "IDRiD", "srahim": "Rahim", "originals": "full-size originals"}
"""Names of the folders of photographs."""


def _folders(results: Results) -> dict[str, Any]:
    return {FOLDERS.get(folder, folder): rows for folder, rows in results.items() if folder != "other pictures"}


def _share(row: Results | None) -> str:
    if row is None:
        return ""
    low, high = (100 * end for end in row["ci"])
    return f"{row['refused']} of {row['n']} ({low:.0f} to {high:.0f} %)"


def gradability(results: Results) -> str:
    folders = _folders(results)
    kinds = [kind for kind, row in next(iter(folders.values())).items() if isinstance(row, dict)]
    pictures = [(kind, _share(row), next(iter(row["reasons"]), "")) for kind, row in results["other pictures"].items()]
    speeds = ", ".join(f"{rows['milliseconds a photo']} ms ({name})" for name, rows in folders.items())
    return "\n\n".join(
        [
            "Refused as ungradable, with 95 % Wilson intervals:",
            table(
                ("photos", *folders), ((kind, *(_share(rows.get(kind)) for rows in folders.values())) for kind in kinds)
            ),
            table(("pictures that are no fundus photographs", "refused", "mostly because"), pictures),
            f"To measure a photo takes {speeds}.",
        ]
    )


def gradability_chart(results: Results) -> Figure:
    folders = {name: rows for name, rows in _folders(results).items() if name != FOLDERS["originals"]}
    kinds = [kind for kind, row in next(iter(folders.values())).items() if isinstance(row, dict)]
    shares = {kind: {name: (rows[kind]["share"], rows[kind]["ci"]) for name, rows in folders.items()} for kind in kinds}
    return draw_shares(shares, "% refused")


def patients(results: Results) -> str:
    def cell(figure: Results) -> str:
        low, high = figure["ci"]
        return f"{figure['value']:.3f} ({low:.3f} to {high:.3f})"

    decisions = [(name, row["patients"], row["referable"]) for name, row in results["decisions"].items()]
    positive = [(name, cell(row["sensitivity"]), cell(row["specificity"])) for name, row in results["positive"].items()]
    return "\n\n".join(
        [
            f"{results['patients']} patients with {results['photos']} photos by `{results['model']}`; "
            f"{results['referable']} are referable.",
            table(("decision for the patient", "patients", "of them referable"), decisions),
            table(("what counts as positive", "sensitivity (95 %)", "specificity (95 %)"), positive),
        ]
    )


SERVE_OVER_BARE = 0.85
"""Aim: photos a second with 8 clients, over those of the bare engine."""


def serve(results: Results) -> str:
    ways = {"serve": "`biranet serve`", "litserve": "LitServe"}
    figures = ("photos_per_second", "p50_ms", "p95_ms", "p99_ms")
    rows = [("bare engine, no HTTP", "", results["bare_photos_per_second"], "", "", "")]
    rows += [
        (name, clients, *(row[figure] for figure in figures))
        for way, name in ways.items()
        for clients, row in results.get(way, {}).items()
    ]
    over, mixture, kills = results["serve_over_bare_at_8"], results["mixture"], results["kills"]
    requests, kinds = mixture["requests"], ("answered", "refused", "went away", "asked to come again")
    became = ", ".join(f"{mixture[kind]} {kind}" for kind in kinds if kind in mixture)
    memory = ", ".join(map(str, mixture["memory_mb"]))
    lost = {name: sum(each.get(name, 0) for each in (mixture, kills)) for name in ("lost", "swapped")}
    aims = [
        ("8 clients over the bare engine", over, f"at least {SERVE_OVER_BARE}"),
        *((f"answers {name}", count, "at most 0") for name, count in lost.items()),
    ]
    return "\n\n".join(
        [
            table(("way", "clients", "photos a second", "median, ms", "95 %, ms", "99 %, ms"), rows),
            f"Of {requests:,} requests of all kinds, sixteen at a time: {became}. Memory of all processes before, at "
            f"each quarter and after: {memory} MB. Of {kills['kills']} workers killed while 8 clients asked, each was "
            f"back after {kills['seconds_until_back']} s at most; {kills.get('asked to come again', 0)} requests were "
            f"answered 503, {kills['answered']} with the grade of their photo.",
            table(
                ("", "measured", "aim", "reached"),
                (
                    (name, value, aim, reached(value, float(aim.split()[-1]), at_least=aim.startswith("at least")))
                    for name, value, aim in aims
                ),
            ),
        ]
    )


def serve_chart(results: Results) -> Figure:
    bars = {"bare engine": results["bare_photos_per_second"]}
    for way, name in {"serve": "ours", "litserve": "LitServe"}.items():
        bars |= {f"{name}, {clients}": row["photos_per_second"] for clients, row in results.get(way, {}).items()}
    return draw_bars(bars, "photos a second, by clients", ours=tuple(name for name in bars if name.startswith("ours")))
