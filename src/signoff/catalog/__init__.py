"""What is versioned: projects read into releases, environments that point at them, and what projects hold."""

from signoff.catalog.model import Project, PromptRegistry, Release
from signoff.catalog.models import ModelsConfig, ModelSpec
from signoff.catalog.projects import load_project, load_project_files
from signoff.catalog.prompts import Prompt, PromptMessage
from signoff.catalog.releases import ReleaseCatalog, environment_release, point_environment, register
from signoff.catalog.rules import Rule
from signoff.catalog.tools import ToolContract

__all__ = [
    "ModelSpec",
    "ModelsConfig",
    "Project",
    "Prompt",
    "PromptMessage",
    "PromptRegistry",
    "Release",
    "ReleaseCatalog",
    "Rule",
    "ToolContract",
    "environment_release",
    "load_project",
    "load_project_files",
    "point_environment",
    "register",
]
