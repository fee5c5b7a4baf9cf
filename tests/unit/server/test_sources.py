"""Configuration: who wins, who said so, and what is refused."""

from pathlib import Path

import pytest

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb_server.sources import load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vecdb.toml"
    path.write_text(
        """
        [server]
        port = 7800
        host = "localhost"
        [limits]
        k = 5
        ef = 6
        [auth.certificates]
        "search.example.org" = ["reader"]
        [[auth.roles.support]]
        role = "reader"
        collections = "tickets*"
        where = "region = 'eu'"
        """
    )
    return path


def test_flags_win_over_the_environment_that_over_the_file_that_over_the_defaults(file: Path) -> None:
    loaded = load(file, {"VECDB__LIMITS__K": "7", "VECDB__SERVER__PORT": "1", "HOME": "/"}, {"server.port": 2})

    config = loaded.config
    assert (config.server.port, config.limits.k, config.limits.ef, config.limits.probes) == (2, 7, 6, 10_000)


def test_each_line_tells_who_said_it(file: Path) -> None:
    lines = list(load(file, {"VECDB__LIMITS__K": "7"}, {"server.port": 2, "server.path": None}).lines(origin=True))

    assert "server.port = 2  # --port" in lines
    assert "limits.k = 7  # VECDB__LIMITS__K" in lines
    assert f"limits.ef = 6  # {file}" in lines
    assert 'server.path = ""  # default' in lines
    assert f'auth.certificates = {{"search.example.org" = ["reader"]}}  # {file}' in lines


def test_what_is_shown_is_read_back_as_the_same_configuration(file: Path, tmp_path: Path) -> None:
    loaded = load(file, {})
    again = tmp_path / "again.toml"
    again.write_text("\n".join(loaded.lines(origin=True)))

    assert load(again, {}).config == loaded.config


def test_lists_and_tables_in_the_environment_are_json(file: Path) -> None:
    given = '{"support": [{"role": "writer", "collections": "a*"}]}'

    roles = load(file, {"VECDB__AUTH__ROLES": given}).config.auth.roles

    assert [(grant.role, grant.collections) for grant in roles["support"]] == [("writer", "a*")]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"VECDB__LIMITS__K": "0"}, "limits.k in VECDB__LIMITS__K: expected `int` >= 1"),
        ({"VECDB__LIMITS__K": "many"}, "limits.k in VECDB__LIMITS__K: expected `int`, got `str`"),
        ({"VECDB__LIMITS__KK": "1"}, "limits.kk in VECDB__LIMITS__KK: there is no such setting"),
        ({"VECDB__X": "1"}, "x in VECDB__X: there is no such setting"),
        ({"VECDB__LIMITS": "1"}, "limits in VECDB__LIMITS: expected `object`, got `str`"),
        ({"VECDB__SERVER__PORT__X": "1"}, "server.port.x in VECDB__SERVER__PORT__X is inside server.port, which is"),
        ({"VECDB__AUTH__ROLES": "{"}, "VECDB__AUTH__ROLES begins like JSON and is none"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_origin(file: Path, environment: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        load(file, environment)

    assert str(caught.value).startswith(told)


def test_a_file_that_is_missing_or_no_toml_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[limits")

    with pytest.raises(NotFoundError, match="there is no configuration file"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(InvalidInputError, match="is not a TOML file"):
        load(tmp_path / "bad.toml", {})


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("server.port", "--port"), ("metrics.port", "--metrics-port"), ("log.format", "--log-format"),
        ("tls.client_ca", "--tls-client-ca"), ("auth.keys", "--keys"),
    ],
)  # fmt: skip
def test_a_wrong_value_of_a_flag_is_told_with_the_flag_that_there_is(name: str, flag: str) -> None:
    from vecdb_server.commands.serve import serve

    parameter = flag.removeprefix("--").replace("-", "_")
    assert parameter in serve.__annotations__
    with pytest.raises(InvalidInputError, match=f"{name} in {flag}: "):
        load(environment={}, flags={name: ["wrong"]})
