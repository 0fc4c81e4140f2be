"""What is versioned: projects read into releases, environments that point at them, and what projects hold."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signoff.catalog.model import Project, PromptRegistry, Release
    from signoff.catalog.models import ModelsConfig, ModelSpec
    from signoff.catalog.projects import load_project, load_project_files
    from signoff.catalog.prompts import Prompt, PromptMessage
    from signoff.catalog.releases import ReleaseCatalog, environment_release, point_environment, register
    from signoff.catalog.rules import Rule
    from signoff.catalog.tools import ToolContract
else:
    from signoff.core.lazy import offered

    __getattr__ = offered(
        __name__,
        {
            "ModelSpec": "signoff.catalog.models",
            "ModelsConfig": "signoff.catalog.models",
            "Project": "signoff.catalog.model",
            "Prompt": "signoff.catalog.prompts",
            "PromptMessage": "signoff.catalog.prompts",
            "PromptRegistry": "signoff.catalog.model",
            "Release": "signoff.catalog.model",
            "ReleaseCatalog": "signoff.catalog.releases",
            "Rule": "signoff.catalog.rules",
            "ToolContract": "signoff.catalog.tools",
            "environment_release": "signoff.catalog.releases",
            "load_project": "signoff.catalog.projects",
            "load_project_files": "signoff.catalog.projects",
            "point_environment": "signoff.catalog.releases",
            "register": "signoff.catalog.releases",
        },
    )

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
