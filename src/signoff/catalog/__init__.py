"""What is versioned: projects read into releases, environments that point at them, what they hold."""

from signoff.catalog.model import IndexSettings, Project, PromptRegistry, Release
from signoff.catalog.models import ModelsConfig, ModelSpec
from signoff.catalog.prompts import Prompt, PromptMessage
from signoff.catalog.rules import Rule
from signoff.catalog.tools import ToolContract

__all__ = [
    "IndexSettings",
    "ModelSpec",
    "ModelsConfig",
    "Project",
    "Prompt",
    "PromptMessage",
    "PromptRegistry",
    "Release",
    "Rule",
    "ToolContract",
]
