"""Settings: an explicit argument, the environment, `toril.toml`, the default; nonsense by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.house.tree import ROOT

from toril import App, BackendError, InvalidOptionError, InvalidSettingError, Profile, Settings
from toril.engine.profiles import ProfileSettings
from toril.settings import misspelt


def load(tmp_path: Path, toml: str = "", **environment: str) -> Settings:
    if toml:
        (tmp_path / "toril.toml").write_text(toml)
    return Settings.load(environment, tmp_path)


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()
    assert Settings().url == "sqlite:///toril.db"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        'url = "sqlite:///file.db"\nconcurrency = 3\nshutdown_s = "5m"\ndurability = "normal"',
        TORIL_URL="sqlite:///environment.db",
        TORIL_LOG_LEVEL="debug",
    )
    assert settings == Settings(
        url="sqlite:///environment.db",
        concurrency=3,
        shutdown_s=300.0,
        durability="normal",
        log_level="debug",
    )


def test_the_url_is_not_shown_with_the_other_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, TORIL_URL="redis://:hunter2@cache")

    assert "hunter2" not in repr(settings)
    with pytest.raises(InvalidSettingError) as refused:
        load(tmp_path, "url = ['redis://:hunter2@cache']")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("TORIL_CONCURENCY", "TORIL_CONCURRENCY"),
        ("TORIL_SHUTDOWN_S", "TORIL_SHUTDOWN"),
        ("TORIL_SEVER", "TORIL_SERVER"),
        ("TORIL_LOGLEVEL", "TORIL_LOG_LEVEL"),
    ],
)
def test_variable_that_looks_like_a_setting_is_named(variable: str, meant: str) -> None:
    """It was ignored in silence, while a file with the same mistake was refused."""
    assert misspelt({variable: "5"}) == [f"{variable} is ignored: did you mean {meant}?"]


def test_variables_that_are_read_or_are_somebody_elses_are_not_named() -> None:
    """Those of tests, of the Makefile, and of Kubernetes beside a service `toril`, among them."""
    folders = [ROOT / name for name in ("src", "tests", "examples", "benchmarks", "docs")]
    paths = [path for one in folders for path in one.rglob("*") if path.suffix in (".py", ".md")]
    texts = [path.read_text("utf-8") for path in [*paths, ROOT / "Makefile"]]
    used = {name for text in texts for name in re.findall(r"\bTORIL_[A-Z][A-Z_]*[A-Z]\b", text)}
    used -= {"TORIL_CONCURENCY", "TORIL_SHUTDOWN_S", "TORIL_SEVER", "TORIL_LOGLEVEL"}  # above
    theirs = {"TORIL_PORT", "TORIL_SERVICE_HOST", "TORIL_SERVICE_PORT", "TORIL_PORT_3030_TCP_ADDR"}

    assert {"TORIL_FAULTS", "TORIL_TEST_SERVER", "TORIL_WEB_EXAMPLES", "TORIL_ENV"} <= used
    assert misspelt(dict.fromkeys(used | theirs | {"CONCURENCY", "TORIL_"}, "1")) == []


def test_a_file_of_settings_that_is_none_is_refused(tmp_path: Path) -> None:
    """A folder was taken for no file: Docker makes one where what it mounts is missing."""
    (tmp_path / "toril.toml").mkdir()

    with pytest.raises(InvalidSettingError, match=r"toril\.toml is a folder: expected a file"):
        load(tmp_path)
    (tmp_path / "toril.toml").rmdir()
    (tmp_path / "toril.toml").symlink_to(tmp_path / "gone.toml")
    with pytest.raises(InvalidSettingError, match=r"toril\.toml is a link to nothing"):
        load(tmp_path)


def test_an_argument_wins_over_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORIL_URL", "sqlite:///environment.db")
    monkeypatch.setenv("TORIL_CONCURRENCY", "7")
    monkeypatch.chdir(tmp_path)
    assert App().url == "sqlite:///environment.db"
    assert App("sqlite:///mine.db").url == "sqlite:///mine.db"

    app = App("sqlite://:memory:")
    app.task()(_note)
    try:
        assert app.worker().options.concurrency == 7
        assert app.worker(concurrency=2).options.concurrency == 2
    finally:
        app.close_sync()


@pytest.mark.parametrize(
    ("options", "rights"), [("", 0o660), ("?share=owner", 0o600), ("?durability=full", 0o660)]
)
def test_a_url_wins_over_the_settings_for_a_file(tmp_path: Path, options: str, rights: int) -> None:
    settings = load(tmp_path, TORIL_SHARE="group", TORIL_DURABILITY="normal")
    app = App(f"sqlite:///{tmp_path}/jobs.db{options}", settings=settings)
    app.backend()
    app.close_sync()

    assert (tmp_path / "jobs.db").stat().st_mode & 0o777 == rights


def test_an_argument_that_contradicts_the_url_is_refused(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/jobs.db?durability=normal", durability="full")

    with pytest.raises(InvalidOptionError, match="'normal', as the URL says, or no argument"):
        app.backend()


def _note() -> None: ...


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("TORIL_CONCURRENCY", "0", "TORIL_CONCURRENCY=0: expected an integer from 1"),
        ("TORIL_CONCURRENCY", "many", "expected an integer from 1"),
        ("TORIL_SHUTDOWN", "soon", "TORIL_SHUTDOWN='soon': expected a duration such as"),
        ("TORIL_DURABILITY", "none", "TORIL_DURABILITY='none': expected one of full, normal"),
        ("TORIL_SHARE", "all", "TORIL_SHARE='all': expected one of owner, group"),
        ("TORIL_LOG_LEVEL", "loud", "expected one of debug"),
        ("TORIL_ANSWER_TIMEOUT", "0", "TORIL_ANSWER_TIMEOUT='0': expected more than 0"),
        ("TORIL_ANSWER_TIMEOUT", "2h", "less than an hour"),
        ("WORKER_TYPE", "hevy", r"WORKER_TYPE: unknown profile 'hevy': did you mean 'heavy'\?"),
        ("TORIL_PROFILE", "x", "known are all, heavy, light, medium"),
    ],
)
def test_nonsense_in_the_environment_is_refused(
    tmp_path: Path, variable: str, value: str, words: str
) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        load(tmp_path, **{variable: value})


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("urll = 'x'", "unknown setting 'urll': did you mean 'url'"),
        ("url = ", "not TOML"),
        ("url = 3", "toril.toml: url: expected a text"),
        ("concurrency = true", "expected an integer from 1"),
        ("shutdown_s = -1", "expected seconds"),
        ("shutdown_s = true", "expected seconds"),
        ("profile = 3", "unknown profile '3'"),
        ("log_level = ['info']", "expected one of"),
    ],
)
def test_nonsense_in_the_file_is_refused(tmp_path: Path, toml: str, words: str) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        load(tmp_path, toml)


def test_empty_variables_are_as_if_they_were_not_there(tmp_path: Path) -> None:
    assert load(tmp_path, TORIL_URL="", TORIL_CONCURRENCY="") == Settings()


def test_a_worker_type_is_a_profile_and_torils_own_word_wins(tmp_path: Path) -> None:
    assert load(tmp_path, WORKER_TYPE="heavy").profile is Profile.HEAVY
    assert load(tmp_path, WORKER_TYPE="heavy", TORIL_PROFILE="light").profile is Profile.LIGHT
    assert load(tmp_path, WORKER_TYPE="heavy", TORIL_PROFILE="all").profile is None


def test_a_profile_chooses_queues_and_figures(tmp_path: Path) -> None:
    app = App("sqlite://:memory:", settings=load(tmp_path, WORKER_TYPE="heavy"))
    app.task(name="a", queue="video", profile="heavy")(_note)
    app.task(name="b", queue="mail", profile="light")(_note)
    app.task(name="c", queue="plain")(_note)
    try:
        heavy, light, everything = (
            app.worker(),
            app.worker(profile="light"),
            app.worker(profile="all"),
        )
        mixed = app.worker(lease=5, queues=["mail"])
    finally:
        app.close_sync()

    assert heavy.options.queues == ["video"]
    assert (heavy.options.concurrency, heavy.options.lease_s, heavy.options.sweep_s) == (
        1,
        3600,
        30,
    )
    assert light.options.queues == ["mail"]
    assert (light.options.concurrency, light.options.lease_s) == (50, 30)
    assert everything.options.queues == ["video", "mail", "plain"]
    assert (everything.options.concurrency, everything.options.lease_s) == (10, 30)
    assert (mixed.options.queues, mixed.options.lease_s) == (["mail"], 5)


def test_every_profile_has_its_figures() -> None:
    assert all(isinstance(profile.settings, ProfileSettings) for profile in Profile)


@pytest.mark.parametrize("url", ["redis:/host", "redis:host", "redis//host", "rediss:/h:1/0"])
async def test_a_url_that_lacks_its_slashes_is_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidOptionError, match=r"^url: expected '://' after the scheme"):
        await App(url, settings=Settings()).queues()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["localhost:6379", "10.0.0.1:6379/0", "Cache.example.com:7000"])
async def test_a_server_without_its_scheme_is_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`localhost:6379` was a file of that name."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidOptionError, match=f"expected 'redis://{url}' for a server"):
        await App(url, settings=Settings()).queues()
    assert list(tmp_path.iterdir()) == []


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"the folder '.+/shop' does not exist\. Make it"):
        await App(f"sqlite:///{tmp_path}/shop/jobs.db", settings=Settings()).queues()


@pytest.mark.parametrize("url", ["mysql://x", "sqlite://", "sqlite:///"])
async def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"^url[=:]"):
        await App(url, settings=Settings()).queues()


@pytest.mark.parametrize(
    ("url", "instead"),
    [
        ("memory://", "a store in memory is 'sqlite://:memory:'"),
        ("http://localhost:8080", "'http' is the scheme of a server of Toril, not of a store"),
        ("https://jo:secret@jobs", "'https' is the scheme of a server of Toril, not of a store"),
    ],
)
def test_scheme_that_people_try_is_answered_with_what_is_meant(url: str, instead: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        App(url).backend()

    assert str(refused.value).startswith(f"url: {instead}")
    assert "secret" not in str(refused.value)
