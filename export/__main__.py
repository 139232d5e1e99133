"""python -m export RUN | verify BUNDLE"""

import sys
from pathlib import Path

import click

from pipeline.command_line import make_folder, models_option, option, progress_bar
from pipeline.constants import ARCHITECTURES, PRECISIONS
from pipeline.errors import one_of
from pipeline.run_folder import BUNDLES


class RunOrVerify(click.Group):
    """Anything but `verify` is a run folder."""

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple:
        """The command of these arguments."""
        return super().resolve_command(context, args if args[0] in self.commands else ["run", *args])


@click.group(cls=RunOrVerify, context_settings={"ignore_unknown_options": True})
def main() -> None:
    r"""Bundles: `RUN` rebuilds those of a run folder, `verify BUNDLE` checks one that you received.

    \b
    With RUN:
      --architectures  by comma  [all of the run]
      --precisions     by comma  [all five]
      --out            where the bundles go  [RUN/bundles]
    """


@main.command(hidden=True)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@models_option("architectures", "all of the run")
@models_option("precisions", ",".join(PRECISIONS), PRECISIONS)
@option(
    "out", type=Path, default=None, help="Where the bundles go; what is there of their name is replaced. [RUN/bundles]"
)
def run(run: Path, architectures: tuple[str, ...] | None, precisions: tuple[str, ...], out: Path | None) -> None:
    """Rebuild the bundles of a run folder, from it alone. Exit code 1 if a file fails a gate: it is left out."""
    one_of("--architectures", architectures or ARCHITECTURES, ARCHITECTURES)
    one_of("--precisions", precisions, PRECISIONS)
    if out:
        make_folder(out)
    with progress_bar() as bar:
        task = bar.add_task("starting TensorFlow", total=None)
        from export.build import rebuild_bundles
        from models.trained_run import TrainedRun

        rejected = rebuild_bundles(
            TrainedRun(run), architectures, precisions, out, lambda message: bar.update(task, description=message)
        )
    click.echo(str(out or run / BUNDLES))
    for file in rejected:
        click.echo(f"rejected: {file}")
    sys.exit(1 if rejected else 0)


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@models_option("precisions", "all in the bundle")
def verify(bundle: Path, precisions: tuple[str, ...] | None) -> None:
    """Check a bundle: digests, contract, the activity call, and the golden night within its gates."""
    from export.verify import verify_bundle

    rows = verify_bundle(bundle, precisions)
    for precision, row in rows.items():
        figures = f"p99 |Δp| {row['p99_abs_dp']:.1e}, same stage {row['same_stage']:.2%}"
        click.echo(f"{precision:8} {figures}: {'pass' if row['passed'] else 'FAIL'}")
    sys.exit(0 if all(row["passed"] for row in rows.values()) else 1)


if __name__ == "__main__":
    main(prog_name="python -m export")
