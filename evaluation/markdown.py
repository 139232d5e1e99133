"""report.md: the figures of evaluation.json as tables for people, with the plots."""

from evaluation.metrics import VIEWS
from evaluation.sleep import UNITS
from pipeline.options import STAGES

HOW = """How nights were held out is said above, in full in evaluation.json. Epochs without a score are not counted;
"valid" epochs are those that the authors of the data set found both signals in. Brackets: 95 % interval of the pooled
figure, bootstrap over subjects. "Largest class" is the accuracy of always saying the commonest class."""
REPEATS = """A repeat splits the subjects anew. Repeats are consistent if the κ of each lies in the range expected if
nothing but the choice of test subjects set them apart (bootstrap of as many subjects out of all repeats, 95 % for all
repeats together)."""
SLEEP = """Said minus scored, from the first scored epoch to the last; REM latency counts from sleep onset. Limits of
agreement: bias ∓ 1.96 SD (Bland & Altman 1986; Menghini et al. 2021). Slope: how the difference grows with what is
scored; near -1, what is said hardly follows the night."""
LEAK = """**A leak.** Windows of one night are on both sides of this split. These figures are an illusion and say
nothing about a new night; they show how large the illusion is."""
ERRORS = "How the epochs of each scored stage (row) were said, in %: mean ± SD over subjects (Menghini et al. 2021)."


def markdown(document, plots):
    """Text of report.md. document: of evaluation.json; plots: {file name: caption}."""
    results, main = document["results"], document["results"][0]
    protocol = [f"- {k}: {value}" for k, value in document["protocol"].items() if not isinstance(value, dict | list)]
    leak = LEAK if document["protocol"].get("split_by") == "window" else ""
    parts = ["# Evaluation", leak, "\n".join(protocol), HOW, "## Five stages", _results(results)]
    if several := [group for group in document["summary"] if group["results"] > 1]:
        parts += ["## Over seeds and repeats", _spread(several), *_repeats(several)]
    parts += [f"## {_name(main)}, in detail", _views(main), _stages(main), "### Sleep statistics", SLEEP, _sleep(main)]
    if main["sleep"]["error_matrix"]:
        parts += ["### Errors by stage", ERRORS, _errors(main)]
    parts += ["### Subjects, five stages", _subjects(main), "## Plots"]
    parts += [f"![{caption}]({name})\n\n{caption}." for name, caption in plots.items()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(value, limits):
    return _number(value) + (f" [{_number(limits[0])}, {_number(limits[1])}]" if limits else "")


def _name(entry):
    point = entry["operating_point"]
    return f"{entry['architecture']}, {entry['precision']}" + ("" if point == "default" else f", {point}")


def _results(results):
    rows = []
    for entry in results:
        five, valid = entry["scored"]["all"]["5"], entry["scored"].get("walch_valid", {}).get("5", {})
        each = five["per_subject"]
        known = [_name(entry), entry["seed"], entry["repeat"], len(entry["subjects"]), entry["epochs"]["all"]]
        pooled = [_interval(five[name], each[name]["interval"]) for name in ("accuracy", "kappa", "macro_f1")]
        rem = [_number(five[name]["REM"], 2) for name in ("recall", "precision")]
        rows.append([*known, _number(five["majority_accuracy"]), *pooled, _number(valid.get("kappa")), *rem])
    head = ["model", "seed", "repeat", "nights", "epochs", "largest class", "accuracy", "κ", "macro F1"]
    return _table([*head, "κ, valid epochs", "REM recall", "REM precision"], rows)


def _spread(summary):
    def cell(of):
        return f"{_number(of['mean'])} ± {_number(of['sd'])} ({_number(of['min'])} to {_number(of['max'])})"

    rows = [
        [_name(group), group["results"], view, *(cell(group[view][n]) for n in ("accuracy", "kappa", "macro_f1"))]
        for group in summary
        for view in VIEWS
    ]
    heads = [f"{name}: mean ± SD (range)" for name in ("accuracy", "κ", "macro F1")]
    return _table(["model", "trainings", "classes", *heads], rows)


def _repeats(summary):
    several = [group for group in summary if group["consistent"] is not None]
    rows = [
        [_name(group), each["repeat"], each["seed"], _interval(each["kappa"], each["expected"]), verdict]
        for group in several
        for verdict in ["yes" if group["consistent"] else "NO"]
        for each in group["repeats"]
    ]
    return [REPEATS, _table(["model", "repeat", "seed", "κ [expected]", "consistent"], rows)] if several else []


def _views(entry):
    names = ("accuracy", "majority_accuracy", "balanced_accuracy", "kappa", "macro_f1", "macro_auc")
    rows = [
        [view, "all" if which == "all" else "valid", *(_number(own[view][name]) for name in names)]
        + [f"{_number(own[view]['per_subject']['kappa'][k])}" for k in ("mean", "sd")]
        for which, own in entry["scored"].items()
        for view in VIEWS
    ]
    head = ["accuracy", "largest class", "balanced accuracy", "κ", "macro F1", "macro AUC"]
    return _table(["classes", "epochs", *head, "κ of a subject: mean", "SD"], rows)


def _stages(entry):
    five, calibration = entry["scored"]["all"]["5"], entry["calibration"]
    columns = (five["recall"], five["precision"], five["auc"], calibration["stage_ece"])
    rows = [[stage, *(_number(of[stage]) for of in columns)] for stage in STAGES]
    rows.append(["likeliest stage", "", "", "", _number(calibration["ece"])])
    return _table(["stage", "recall", "precision", "AUC, one against rest", "expected calibration error"], rows)


def _sleep(entry):
    names = ("bias", "sd", "lower", "upper", "slope")
    rows = [
        [f"{name} ({UNITS[name]})", of["nights"], *(_number(of[key], 2 if key == "slope" else 1) for key in names)]
        for name, of in entry["sleep"]["bland_altman"].items()
    ]
    return _table(["statistic", "nights", "bias", "SD", "lower limit", "upper limit", "slope"], rows)


def _errors(entry):
    def cell(of):
        return "-" if of is None or of["mean"] is None else f"{100 * of['mean']:.0f} ± {100 * (of['sd'] or 0):.0f}"

    matrix = entry["sleep"]["error_matrix"]
    return _table(["scored", *STAGES], [[s, *(cell(matrix[s].get(said)) for said in STAGES)] for s in STAGES])


def _subjects(entry):
    names = ("accuracy", "majority_accuracy", "kappa", "macro_f1")
    rows = [[subject, *(_number(own["5"][name]) for name in names)] for subject, own in entry["subjects"].items()]
    return _table(["subject", "accuracy", "largest class", "κ", "macro F1"], rows)
