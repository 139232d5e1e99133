"""python -m export RUN [--for PLATFORM] [--sign KEY] | verify BUNDLE | zip BUNDLE | sign BUNDLE --key KEY"""

import signal

if __name__ == "__main__":  # Ctrl-C while modules are imported ends without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from pathlib import Path

import click

from pipeline.command_line import (
    Commands,
    NamedPath,
    OutputFile,
    console,
    json_option,
    make_folder,
    models_option,
    option,
    progress_bar,
)
from pipeline.constants import ARCHITECTURES, PRECISIONS
from pipeline.errors import UserMistake, one_of
from pipeline.files import write_json
from pipeline.outputs import must_be_outside_bundles, must_spare
from pipeline.run_folder import BUNDLES, RunFolder
from pipeline.scratch import sole_use_of_output


class RunOrCommand(Commands):
    """A group whose first argument, unless it names a command, is a run folder."""

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple:
        """The command of these arguments."""
        return super().resolve_command(context, args if args[0] in self.commands else ["run", *args])


@click.group(
    cls=RunOrCommand,
    context_settings={"ignore_unknown_options": True},
    epilog="Examples: python -m export RUN; python -m export bundles/gru-int8 --for android --out app",
)
def main() -> None:
    """Export: `RUN` rebuilds the bundles of a run, `RUN|BUNDLE --for PLATFORM` writes what an app ships.

    \b
    With RUN:
      --architectures  comma-separated  [all of the run]
      --precisions     comma-separated  [all five]
      --out            output folder  [RUN/bundles]
      --for            android, ios, web, python, micro or any: files of one precision and the platform's library
      --sign           private Ed25519 key (PEM) to sign the output with
    """  # noqa: D301 (click reads the control character)


@main.command(hidden=True, epilog="Example: python -m export RUN --architectures gru --precisions int8 --out OUT")
@click.argument("run", metavar="RUN", type=NamedPath())
@models_option("architectures", "all of the run")
@models_option("precisions", "all")
@option("for", "platform", default=None, help="What an app ships: android, ios, web, python, micro or any.")
@option("out", type=Path, default=None, help="Output folder; bundles of the same name are replaced. [RUN/bundles]")
@option("sign", "key", type=Path, default=None, help="Private Ed25519 key (PEM) to sign the output with.")
def run(
    run: Path,
    architectures: tuple[str, ...] | None,
    precisions: tuple[str, ...] | None,
    platform: str | None,
    out: Path | None,
    key: Path | None,
) -> None:
    """Rebuild the bundles of a run from its folder alone. A file that fails its gate is left out: exit code 1."""
    one_of("--architectures", architectures or ARCHITECTURES, ARCHITECTURES)
    one_of("--precisions", precisions or PRECISIONS, PRECISIONS)
    sign = signer(key)
    if platform is not None:
        if key and platform == "micro":
            raise UserMistake("--sign: cannot be used with --for micro, which ships no contract.json")
        sign(for_platform(run, platform, architectures, precisions, out))
        return
    RunFolder(run)  # so that an error is found before a folder is made
    if out:
        make_folder(out)
    with progress_bar() as bar:
        task = bar.add_task("starting TensorFlow", total=None)
        from export.build import rebuild_bundles
        from models.trained_run import TrainedRun

        trained = TrainedRun(run)
        with sole_use_of_output(run, out):
            rejected = rebuild_bundles(
                trained,
                architectures,
                precisions or PRECISIONS,
                out,
                lambda message: bar.update(task, description=message),
            )
    for architecture in trained.chosen_architectures(architectures):
        sign((out or run / BUNDLES) / architecture)
    click.echo(str(out or run / BUNDLES))
    for file in rejected:
        click.echo(f"rejected: {file}")
    sys.exit(1 if rejected else 0)


def for_platform(source, platform, architectures, precisions, out):
    """Write what an app ships on a platform and print a summary; returns the folder."""
    from export.handover import hand_over

    for name, values in (("architectures", architectures), ("precisions", precisions)):
        if values and len(values) > 1:
            raise UserMistake(f"--{name} {','.join(values)}: --for takes only one; name one")
    precision, architecture = precisions and precisions[0], architectures and architectures[0]
    folder, lines = hand_over(source, platform, precision, architecture, out)
    click.echo("\n".join([*lines, str(folder)]))
    if (folder / "README.md").is_file():
        console.print(f"how to use it: {folder / 'README.md'}")
    return folder


def signer(key):
    """A function that signs every contract below a folder with a key file's key; without a key it does nothing."""
    if key is None:
        return lambda folder: None
    from export.contract import FILE
    from export.signature import read_private_key, sign_bundle

    must_be_outside_bundles("--sign", key)  # which are replaced
    private = read_private_key(key)  # read first, so that a wrong key is found before the work
    return lambda folder: [sign_bundle(contract.parent, private) for contract in Path(folder).rglob(FILE)]


@main.command("sign", epilog="Example: python -m export sign BUNDLE --key key.pem")
@click.argument("bundle", type=click.Path(path_type=Path))
@option("key", type=Path, required=True, help="Private Ed25519 key: a PEM file without a password.")
def sign_command(bundle, key):
    """Sign a bundle folder: writes contract.sig next to contract.json and prints its path."""
    from export.signature import read_private_key, sign_bundle

    must_be_outside_bundles("--key", key)  # it could be what is written, and would be handed out
    click.echo(str(sign_bundle(bundle, read_private_key(key))))


@main.command("zip", epilog="Example: python -m export zip BUNDLE")
@click.argument("bundle", type=NamedPath())
@option("out", type=OutputFile(), default=None, help="The zip file. [BUNDLE.zip, next to the folder]")
def zip_bundle(bundle, out):
    """Write a bundle as one zip file, reproducible byte for byte; prints its path and SHA-256."""
    from export.archive import write_zip
    from export.tflite import sha256

    path = write_zip(bundle, out)
    click.echo(f"{path}\nsha256 {sha256(path)}")


@main.command(epilog="Example: python -m export verify BUNDLE --public-key pub.pem")
@click.argument("bundle", type=NamedPath())
@models_option("precisions", "all in the bundle")
@option("public_key", type=Path, default=None, help="Ed25519 key (PEM) that must have signed the bundle.")
@json_option
def verify(bundle: Path, precisions: tuple[str, ...] | None, public_key: Path | None, copy: Path | None) -> None:
    """Check a bundle (folder or zip): digests, contract, activity call, and the golden night against its gates.

    With --public-key, also who signed it. Exit code 1 if it is not signed by that key, or a file fails its gate.
    """
    from export.archive import opened_bundle
    from export.verify import verify_bundle

    if copy:
        must_spare("--json", copy, [bundle, *filter(None, [public_key])], [bundle])
    key = None
    if public_key:
        from export.signature import check_signature, read_public_key

        key = read_public_key(public_key)
    with opened_bundle(bundle) as folder:
        if key:
            check_signature(folder, key)
            click.echo(f"signed by {public_key}")
        rows = verify_bundle(folder, precisions)
    if not rows:
        click.echo("complete and unaltered; it has no golden night to replay")
    for precision, row in rows.items():
        figures = f"p99 |Δp| {row['p99_abs_dp']:.1e}, same stage {row['same_stage']:.2%}"
        click.echo(f"{precision:8} {figures}: {'pass' if row['passed'] else 'FAIL'}")
    passed = all(row["passed"] for row in rows.values())
    if copy:
        signed_by = public_key and str(public_key)
        write_json(copy, {"bundle": str(bundle), "passed": passed, "signed_by": signed_by, "precisions": rows})
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main(prog_name="python -m export")
