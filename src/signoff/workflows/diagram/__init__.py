"""A workflow as a picture: SVG, or Mermaid for pages that draw it themselves."""

from signoff.workflows.diagram.graph import Box, Diagram, Edge, diagram_of
from signoff.workflows.diagram.mermaid import mermaid
from signoff.workflows.diagram.svg import svg

__all__ = ["Box", "Diagram", "Edge", "diagram_of", "mermaid", "svg"]
