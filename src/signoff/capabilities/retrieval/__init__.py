"""Retrieval: passages of a release's documents, by keywords and by meaning, with exact places to cite."""

from .citations import CheckedCitation, Citation, verify_citations
from .indexing import build_index
from .model import Document, Embedder, Hit, IndexFacts, IndexSettings, RetrievalLimits
from .searching import read_index, search
from .store import forget_release

__all__ = [
    "CheckedCitation",
    "Citation",
    "Document",
    "Embedder",
    "Hit",
    "IndexFacts",
    "IndexSettings",
    "RetrievalLimits",
    "build_index",
    "forget_release",
    "read_index",
    "search",
    "verify_citations",
]
