"""What the kernel can do without the command: list the installed plugins."""

from ml4t.backtest.plugins import Failure, PluginHost


def main() -> None:
    """Print the installed plugins and how to get the command."""
    plugins = PluginHost().plugins()
    for plugin in plugins:
        said = plugin.outcome if isinstance(plugin.outcome, Failure) else plugin.summary
        print(f"{plugin.name} ({plugin.distribution} {plugin.version}), {plugin.status}: {said}")
    if not plugins:
        print("no plugins are installed; the usual ones: pip install ml4t-backtest")
    if not any(plugin.name == "cli" for plugin in plugins):
        print("the command ml4t-backtest: pip install ml4t-backtest-cli")


if __name__ == "__main__":
    main()
