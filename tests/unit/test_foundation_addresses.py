"""No error about an address repeats its password: neither the database's, nor a server's that commands ask."""

from __future__ import annotations

import pytest

from signoff.cli.client import ApiClient
from signoff.core.errors import InvalidError, SignoffError
from signoff.foundation.database import Database
from signoff.foundation.database.migrate import migrate
from signoff.foundation.settings import DatabaseSettings

SECRET = "pw-7f6e5d4c"
UNREADABLE = [
    f"mysql://ana:{SECRET}@h/x",
    f"postgresql://ana:{SECRET}@[bad/x",
    f"ana:{SECRET}",
    f"host=h password={SECRET}",
]


@pytest.mark.parametrize("url", UNREADABLE)
async def test_an_address_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(InvalidError, match="written as postgresql://") as migrating:
        migrate(url)
    with pytest.raises(InvalidError, match="written as postgresql://") as opening:
        await Database.open(DatabaseSettings(url=url))
    assert SECRET not in f"{migrating.value}{opening.value}"


@pytest.mark.parametrize("url", [f"postgresql://ana:{SECRET}%zz@127.0.0.1:9/x", f"postgresql://ana:{SECRET}@h:port/x"])
async def test_a_drivers_words_have_no_password(url: str) -> None:
    with pytest.raises(SignoffError) as migrating:
        migrate(url)
    with pytest.raises(SignoffError) as opening:
        await Database.open(DatabaseSettings(url=url))
    assert SECRET not in f"{migrating.value}{opening.value}"


@pytest.mark.parametrize("url", [f"http://ana:{SECRET}@127.0.0.1:9", f"ftp://ana:{SECRET}@127.0.0.1/a"])
def test_commands_do_not_repeat_a_servers_password(url: str) -> None:
    with ApiClient(url, "so_key") as client, pytest.raises(SignoffError) as caught:
        client.get("/v1/runs")
    assert SECRET not in str(caught.value)
    assert "://127.0.0.1" in str(caught.value)
    assert ".." not in str(caught.value)
