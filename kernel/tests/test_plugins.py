import sys

import pytest

from ml4t.backtest.errors import PluginError, UnknownComponent
from ml4t.backtest.hookspecs import Manifest, hookimpl
from ml4t.backtest.plugin_index import PluginIndex
from ml4t.backtest.plugins import PluginHost, _installed

HEAD = """\
from ml4t.backtest.hookspecs import Manifest, hookimpl
MANIFEST = Manifest(api=1, name="{name}", summary="a plugin for tests")
"""
BROKEN = {
    "raises": ("import nonesuch_library\n", "ModuleNotFoundError: No module named 'nonesuch_library'"),
    "exits": ("import sys\nsys.exit(3)\n", "tried to end the process: sys.exit(3)"),
    "kills": ("import os\nos._exit(7)\n", "ended its process, code 7"),
    "sleeps": (
        "import time\ntime.sleep(60)\n",
        "had not been imported after 0.5 s; ml4t-backtest plugins doctor asks again",
    ),
    "prints": (HEAD + "print('hello')\n", "prints when it is imported: 'hello\\n'"),
    "future": (
        HEAD.replace("api=1", "api=2"),
        "written for plugin API 2, this kernel offers 1",
    ),
    "renamed": (HEAD.replace("{name}", "other"), "its MANIFEST says 'other', its entry point 'renamed'"),
    "bare": ("x = 1\n", "has no MANIFEST = Manifest(...)"),
    "listed": (
        HEAD + "@hookimpl\ndef ml4t_register_feeds():\n    return {{'a': 1}}\n",
        "ml4t_register_feeds returned {'a': 1}, expected names -> \"module:Class\"",
    ),
}
LIFE_CYCLE = (
    HEAD
    + """
@hookimpl
def ml4t_report_header(run):
    return "{name}"
"""
)


def mine(**settings):
    """Return a host that sees the plugins of this test only, with a short time limit."""
    installed = [plugin for plugin in _installed() if plugin.distribution.startswith(("acme", "zeta"))]
    settings.setdefault("index", PluginIndex(time_limit=0.5))
    return PluginHost(installed=installed, **settings)


def test_an_installed_plugin_is_found_and_its_components_can_be_used(site):
    """Installing is all there is to do; the component's module is imported when it is loaded."""
    module = site.install("reporter-html")
    host = mine()
    component = host.components.resolve("reporter", "html")

    assert ["loaded"] == [plugin.status for plugin in host.plugins()]
    assert {module, f"{module}_classes"}.isdisjoint(sys.modules)
    assert "Reporter" == component.load().__name__
    assert 'reporter "html" of acme-reporter-html 1.0' == component.owner
    assert module not in sys.modules


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_reported_and_touches_nobody_else(site, name):
    """Name, version and reason are listed; the other plugins work."""
    source, reason = BROKEN[name]
    site.install(name, source=source, component="broken", version="0.3")
    site.install("reporter-html")
    host = mine()

    assert [f"plugin {name} of acme-{name} 0.3: {reason}"] == [str(failure) for failure in host.failures()]
    assert "Reporter" == host.components.resolve("reporter", "html").load().__name__


def test_a_misspelt_hook_is_a_failure(site):
    """pluggy alone would ignore it."""
    site.install("typo", source=HEAD + "@hookimpl\ndef ml4t_register_fedes():\n    return {{}}\n")
    (failure,) = mine().failures()

    assert "typo" == failure.plugin
    assert "PluginValidationError" in failure.reason
    assert "ml4t_register_fedes" in failure.reason


def test_several_that_bring_their_process_down_do_not_lose_each_other(site):
    """Each plugin has an answer, whatever those before it did."""
    for number, name in enumerate(("kills", "sleeps", "exits")):
        site.install(f"a{number}", source=BROKEN[name][0])
    site.install("reporter-html")

    assert ["failed", "failed", "failed", "loaded"] == [plugin.status for plugin in mine().plugins()]


def test_a_disabled_plugin_is_not_even_asked(site, tmp_path):
    """Filtering by name comes before any import."""
    trace = tmp_path / "trace"
    site.install("reporter-html", source=f"open({str(trace)!r}, 'w')\n" + HEAD)

    for settings in (
        {"disable": ["reporter-html"]},
        {"only": []},
        {"environment": {"ML4T_BACKTEST_PLUGINS": ""}},
    ):
        assert ["disabled"] == [plugin.status for plugin in mine(**settings).plugins()]
    assert not trace.exists()


def test_only_and_the_environment_choose_by_name(site):
    """The choice of the run and that of the environment both hold."""
    for name in ("reporter-a", "reporter-b", "reporter-c"):
        site.install(name, component=name)
    host = mine(only=["reporter-a", "reporter-b"], environment={"ML4T_BACKTEST_PLUGINS": " reporter-b, reporter-c"})

    assert ["disabled", "loaded", "disabled"] == [plugin.status for plugin in host.plugins()]


def test_choosing_a_plugin_that_is_not_installed_is_an_error_with_the_nearest(site):
    """A typo in ``only`` would otherwise load nothing, in silence."""
    site.install("reporter-html")

    with pytest.raises(PluginError, match='no plugin "reporter-htlm" is installed: did you mean "reporter-html"'):
        mine(only=["reporter-htlm"])
    with pytest.raises(PluginError, match="pip install ml4t-backtest-broker-ib"):
        mine(only=["broker-ib"])


def test_a_misspelt_plugin_to_be_disabled_is_an_error_and_an_absent_one_is_none(site):
    """A typo in ``disable`` would leave the plugin on, in silence; what is not installed is off as it is."""
    site.install("reporter-html")

    with pytest.raises(PluginError, match=r'^no plugin "reporter-htlm" is installed: did you mean "reporter-html"$'):
        mine(disable=["reporter-htlm", "reporter-console"])
    assert ["loaded"] == [plugin.status for plugin in mine(disable=["reporter-console"]).plugins()]


def test_a_component_offered_twice_is_an_error_only_where_it_is_used(site):
    """The error names both distributions and how to choose; other components work."""
    site.install("reporter-one", component="html")
    site.install("reporter-two", component="html", distribution="zeta-reporter")
    site.install("reporter-three", component="pdf")
    host = mine()

    message = (
        'reporter "html" is offered by acme-reporter-one 1.0 and zeta-reporter 1.0: '
        'disable "reporter-one" or "reporter-two" in [plugins], or uninstall one'
    )
    assert [message] == host.components.conflicts()
    assert "Reporter" == host.components.resolve("reporter", "pdf").load().__name__
    with pytest.raises(PluginError, match=r"is offered by acme-reporter-one 1\.0 and zeta-reporter 1\.0"):
        host.components.resolve("reporter", "html")
    assert "Reporter" == mine(disable=["reporter-one"]).components.resolve("reporter", "html").load().__name__


def test_a_plugin_name_that_is_taken_fails_and_the_first_keeps_it(site):
    """Two distributions cannot be disabled by one name."""
    site.install("reporter-html", distribution="zeta-reporter", component="b")
    site.install("reporter-html", component="a")
    host = mine()

    assert ["the name reporter-html is already taken by acme-reporter-html 1.0"] == [
        failure.reason for failure in host.failures()
    ]
    assert ["a"] == host.components.names("reporter")


def test_an_unknown_component_says_what_is_near_and_what_would_offer_it(site):
    """A failed, disabled, former or first-party owner; else the nearest name, and only else what pip might know."""
    site.install("reporter-html")
    site.install("reporter-sick", source=BROKEN["raises"][0])
    host = mine()

    for name, message in [
        ("htlm", 'no reporter is called "htlm": did you mean "html"$'),
        ("pdf", "installed are html; or install it: pip install ml4t-backtest-reporter-pdf$"),
        ("sick", "plugin reporter-sick of acme-reporter-sick 1.0: ModuleNotFoundError"),
    ]:
        with pytest.raises(UnknownComponent, match=message):
            host.components.resolve("reporter", name)
    with pytest.raises(UnknownComponent, match="plugin reporter-html is installed but disabled"):
        mine(disable=["reporter-html"]).components.resolve("reporter", "html")
    site.uninstall("acme-reporter-html")
    with pytest.raises(UnknownComponent, match="acme-reporter-html offered it: pip install acme-reporter-html"):
        mine().components.resolve("reporter", "html")


def test_life_cycle_hooks_load_only_the_plugins_that_implement_them(site):
    """Hooks are called in the order of the plugins' names; others are not imported."""
    modules = [site.install(name, source=LIFE_CYCLE) for name in ("b", "a", "c")]
    other = site.install("reporter-html")
    host = mine()

    assert set(modules).isdisjoint(sys.modules)
    assert ["a", "b", "c"] == host.hook.ml4t_report_header(run=None)
    assert [] == host.hook.ml4t_assembled(engine=None)
    assert other not in sys.modules


def test_a_life_cycle_plugin_that_fails_in_the_run_is_listed_and_left_out(site, monkeypatch):
    """What went well when it was asked may still fail later."""
    site.install("a", source="import os\nif 'FAIL_NOW' in os.environ: raise SystemExit(2)\n" + LIFE_CYCLE)
    site.install("b", source=LIFE_CYCLE)
    host = mine()
    monkeypatch.setenv("FAIL_NOW", "1")

    assert ["b"] == host.hook.ml4t_report_header(run=None)
    assert ["plugin a of acme-a 1.0: tried to end the process: sys.exit(2)"] == [str(each) for each in host.failures()]


class LocalPlugin:
    MANIFEST = Manifest(api=1, name="local", summary="made in a notebook")

    @hookimpl
    def ml4t_register_feeds(self):
        return {"mine": "fractions:Fraction"}

    @hookimpl
    def ml4t_report_header(self, run):
        return "local"


def test_a_local_plugin_needs_no_distribution():
    """Tests and notebooks use a host without discovery."""
    host = PluginHost.only(LocalPlugin())

    assert ["local"] == [plugin.name for plugin in host.plugins()]
    assert "Fraction" == host.components.resolve("feed", "mine").load().__name__
    assert ["local"] == host.hook.ml4t_report_header(run=None)


def test_a_local_plugin_is_held_to_the_contract():
    """A wrong API number, and a name that is taken, are refused at once."""
    wrong = LocalPlugin()
    wrong.MANIFEST = Manifest(api=9, name="local", summary="")

    with pytest.raises(PluginError, match="plugin local cannot be registered: written for plugin API 9"):
        PluginHost.only(wrong)
    with pytest.raises(PluginError, match="its name is already taken"):
        PluginHost.only(LocalPlugin(), LocalPlugin())


def test_two_hosts_share_nothing():
    """Two engines run side by side."""
    PluginHost.only(LocalPlugin())

    assert [] == PluginHost.only().components.names("feed")


def test_an_unchanged_plugin_is_asked_once(site, tmp_path):
    """The index answers until distribution, version or plugin module change."""
    trace = tmp_path / "trace"
    source = f"open({str(trace)!r}, 'a').write('x')\n" + HEAD
    site.install("reporter-html", source=source)
    counts = []
    for change in ("nothing", "nothing", "source", "version", "refresh"):
        if change == "source":
            site.install("reporter-html", source=source + "# edited\n")
        if change == "version":
            site.uninstall("acme-reporter-html")
            site.install("reporter-html", source=source, version="2.0")
        mine(refresh=change == "refresh")
        counts.append(len(trace.read_text()))

    assert [1, 1, 2, 3, 4] == counts


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\x00"])
def test_a_torn_index_is_made_anew(site, tmp_path, content):
    """The index is a cache; nothing in it is lost for good."""
    site.install("reporter-html")
    (tmp_path / "cache" / "plugins").mkdir(parents=True)
    (tmp_path / "cache" / "plugins" / "index.json").write_bytes(content)

    assert ["html"] == mine().components.names("reporter")


def test_a_plugin_that_failed_is_asked_again(site):
    """Its cause, such as a missing library, may have gone since."""
    site.install("reporter-html", source="import acme_missing\n" + HEAD)
    before = [plugin.status for plugin in mine().plugins()]
    (site.folder / "acme_missing.py").write_text("")

    assert (["failed"], ["loaded"]) == (before, [plugin.status for plugin in mine().plugins()])


def test_one_that_ran_out_of_time_is_remembered_until_something_is_installed(site, tmp_path):
    """A plugin that hangs costs its time limit once, not at every start."""
    trace = tmp_path / "trace"
    site.install("slow", source=f"import time\nopen({str(trace)!r}, 'a').write('x')\ntime.sleep(60)\n")
    counts = []
    for _ in range(2):
        assert ["failed"] == [plugin.status for plugin in mine().plugins()]
        counts.append(len(trace.read_text()))
    site.install("other", source=HEAD)
    mine()

    assert [1, 1, 2] == [*counts, len(trace.read_text())]
