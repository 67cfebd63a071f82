"""`songlo completion`."""

import click
from click.shell_completion import get_completion_class

from infra.cli.common import CommandError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash: songlo completion bash >> ~/.bashrc
    zsh:  songlo completion zsh  >> ~/.zshrc
    fish: songlo completion fish  > ~/.config/fish/completions/songlo.fish
    """
    completion = get_completion_class(shell)
    if completion is None:
        raise CommandError(f"no completion for {shell}")
    root = ctx.find_root()
    click.echo(completion(root.command, {}, "songlo", "_SONGLO_COMPLETE").source())
