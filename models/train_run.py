"""From nights to trained models in a run folder: what train.py and every fold of an evaluation have in common."""

import numpy as np
import pandas as pd

from models.operating import operating_points
from models.run import GOLDEN, model_name
from models.sensing import Sensing
from models.training import best_epoch
from models.training import train as fit_network
from pipeline.augment import varied
from pipeline.files import read_json, write_json, write_whole
from pipeline.nights import write_night
from pipeline.options import UserMistake


def parts(nights, splits):
    """Nights by the part of the split that their subject is in."""
    return {name: [night for night in nights if night.subject in own] for name, own in splits.items()}


def fit(run, part, doing=lambda what, cost=0: None, done=lambda what: None):
    """Fit sensing and train every network of the run on `part`, {"train", "inner_validation", "validation"} -> nights.

    Writes all of the run folder that export, parity and evaluation start from. doing(what, cost): a piece of work is
    under way, or its cost done; done(what): a stage of it is.
    """
    for name, own in part.items():
        if not any((night.stages >= 0).any() for night in own):
            raise UserMistake(f"no scored window in the {name.replace('_', ' ')} nights; with this --stride perhaps")
    sensing, many = Sensing(run.options, run.channels), len(part["train"])
    seeds = [[run.options.seed, i, j] for j in range(run.options.variants) for i in range(many)]
    variants = [varied(part["train"][seed[1]], run.options, seed) for seed in seeds]
    nights = [*part["train"], *variants, *part["inner_validation"], *part["validation"]]
    values, known = sensing.measured(nights)  # in one go: it knows nothing of other nights
    sensing.fit(values[:many], known[:many])
    write_json(run.folder / "scaler.json", {"features": sensing.names, **sensing.scaler})
    ends = np.cumsum([many, len(variants), len(part["inner_validation"])])
    shown = list(zip(sensing.scaled(values, known), [night.stages for night in nights], strict=True))
    own, extra, inner, held = (shown[i:j] for i, j in zip([0, *ends], [*ends, None], strict=True))
    train = [[night, *extra[i::many]] for i, night in enumerate(own)]  # each night, then its variants
    fullest = sorted(part["validation"], key=lambda night: (-sum(map(len, night.channels.values())), -len(night)))
    for name, night in zip(GOLDEN, fullest, strict=False):
        write_night(run.folder / name, night)
    done(f"{len(sensing.names)} features")
    data = {"train": train, "inner_validation": inner, "validation": held}
    rows = [fit_one(run, architecture, data, doing, done) for architecture in run.options.architectures]
    write_whole(run.folder / "model_accuracies.csv", pd.concat(rows).to_csv(index=False))
    x, stages = zip(*inner, strict=True)
    points = {name: operating_points(stages, run.probabilities(name, x)) for name in run.options.architectures}
    write_json(run.folder / "operating_points.json", points)
    run.write_calibration([x for x, _ in own])


def fit_one(run, architecture, data, doing, done):
    """Train one architecture, or take what a stopped run left of it; its accuracies as a DataFrame."""
    partial = run.folder / "partial" / architecture
    partial.mkdir(exist_ok=True)
    log, model = partial / "accuracies.json", run.folder / model_name(architecture)
    rows = read_json(log) if log.exists() else []
    if not model.exists():

        def after(row):
            rows.append(row)
            write_json(log, rows)
            doing(f"{architecture}: epoch {row['epoch']} of {run.options.epochs}", 1)

        best = fit_network(architecture, data, run.options, list(rows), partial, after)
        best.replace(model)
        row = best_epoch(rows, run.options)
        done(f"{architecture}: best epoch {row['epoch']}, inner validation κ {row['inner_validation_kappa']:.2f}")
    best = best_epoch(rows, run.options)["epoch"]
    return pd.DataFrame(rows).assign(architecture=architecture, best=[row["epoch"] == best for row in rows])


def write_sample(path, night, run):
    """One window as the models are fed it: a column per channel, a line per value; shorter channels end earlier."""
    middle = len(night) // 2
    columns = {name: pd.Series(night.window(name, run.options)[middle]) for name in run.channels}
    write_whole(path, pd.DataFrame(columns).to_csv(index=False))
