from __future__ import annotations

import pytest
from PIL import ImageFile
from tests.services.pictures import photo

from toril.core.errors import InvalidOptionError
from toril.services.media.pillow import PillowEngine
from toril.services.media.port import Fit, VariantSpec

WHOLE = [VariantSpec(name="whole", width_px=1000, height_px=1000, fit=Fit.INSIDE)]


def test_switch_that_makes_half_pictures_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)

    with pytest.raises(InvalidOptionError, match="LOAD_TRUNCATED_IMAGES"):
        list(PillowEngine().render(photo("rocket.jpg")[:50_000], WHOLE, name="test"))
