from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from signoff.foundation.settings import DatabaseSettings, Settings


def test_environment_variables_reach_nested_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIGNOFF_PROJECT", str(tmp_path))
    monkeypatch.setenv("SIGNOFF_DATABASE__URL", "postgresql://ana:s3cr3t@db/app")
    monkeypatch.setenv("SIGNOFF_API__PORT", "9000")
    settings = Settings()
    assert settings.state_path == tmp_path / ".signoff"
    assert settings.database.url == "postgresql://ana:s3cr3t@db/app"
    assert settings.api.port == 9000
    assert "s3cr3t" not in repr(settings)


def test_the_state_directory_can_be_elsewhere(tmp_path: Path) -> None:
    assert Settings(state_directory=tmp_path).state_path == tmp_path


@pytest.mark.parametrize("values", [{"app_pool_size": 0}, {"statement_timeout_s": -1}, {"ulr": "x"}])
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DatabaseSettings.model_validate(values)
