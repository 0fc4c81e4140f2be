"""The kit that users and we test with."""

from signoff.testing.faulty_vendor import FaultyVendor
from signoff.testing.scripted import ScriptedProvider
from signoff.testing.stub_vendor import StubVendor

__all__ = ["FaultyVendor", "ScriptedProvider", "StubVendor"]
