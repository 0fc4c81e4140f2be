"""`rapidocr`: texts in pictures and scanned PDFs, by PaddleOCR's models, which are in RapidOCR's wheel."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.computing import Computed, Patience, bytes_of, library, rounded
from signoff.catalog.models import ModelSpec

EXTRA = "ocr"
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
"""Of pictures: what comes from scanners, telephones and mails. Each more is a parser more that strangers feed."""
PDF_DOTS_PER_INCH = 200
"""At which pages of PDFs are drawn."""
_POINTS_PER_INCH = 72
MAX_LINES = 1_500
"""Of one file; more would not fit into an answer."""

_ENGINE: list[Any] = []
_LOADING = threading.Lock()


class RapidOcr(Computed):
    """The reader. It is loaded at first use and shared by all instances of the process."""

    name = "rapidocr"
    task = "ocr"
    needs = (("rapidocr", EXTRA), ("pypdfium2", EXTRA))

    def answer(self, values: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:
        """The lines of each page, from top to bottom, with where they stand.

        Raises:
            ProviderError: as `complete`; `rejected`: it is no picture and no PDF, or too large.
        """
        read = _engine()
        pages: list[dict[str, Any]] = []
        lines = 0
        for picture in self._pictures(bytes_of(values["content"])):
            patience.check()
            page = {"width": picture.width, "height": picture.height, "lines": _lines(read, picture)}
            pages.append(page)
            lines += len(page["lines"])
            if lines > MAX_LINES:
                raise ProviderError("rejected", f"The file has more than {MAX_LINES:,} lines: give it in parts.")
        text = "\n".join(line["text"] for page in pages for line in page["lines"])
        return {"text": text, "pages": pages}

    def _pictures(self, data: bytes) -> Iterator[Any]:
        """Each page as a picture in colours, one at a time."""
        yield from self._pdf(data) if data.startswith(b"%PDF-") else self._frames(data)

    def _frames(self, data: bytes) -> Iterator[Any]:
        image: Any = library("PIL.Image", EXTRA)
        upright: Any = library("PIL.ImageOps", EXTRA).exif_transpose
        sequence: Any = library("PIL.ImageSequence", EXTRA)
        try:
            with image.open(io.BytesIO(data), formats=FORMATS) as opened:
                self._pages(getattr(opened, "n_frames", 1) if opened.format == "TIFF" else 1)
                for frame in sequence.Iterator(opened) if opened.format == "TIFF" else (opened,):
                    self._pixels(frame.width, frame.height)  # before they are unpacked
                    yield upright(frame).convert("RGB")
        except ProviderError:
            raise
        except (OSError, ValueError, SyntaxError, EOFError, image.DecompressionBombError) as error:
            detail = f"It is no picture that can be read ({type(error).__name__}): {', '.join(FORMATS)} or PDF can."
            raise ProviderError("rejected", detail) from None

    def _pdf(self, data: bytes) -> Iterator[Any]:
        pdfium: Any = library("pypdfium2", EXTRA)
        scale = PDF_DOTS_PER_INCH / _POINTS_PER_INCH
        try:
            document = pdfium.PdfDocument(data)
            try:
                self._pages(len(document))
                for page in document:
                    width, height = page.get_size()
                    self._pixels(round(width * scale), round(height * scale))
                    yield page.render(scale=scale).to_pil().convert("RGB")
            finally:
                document.close()
        except pdfium.PdfiumError:
            raise ProviderError("rejected", "The PDF cannot be read: it is broken, or needs a password.") from None

    def _pages(self, count: int) -> None:
        most = self.limit("max_pages")
        if count > most:
            raise ProviderError("rejected", f"The file has {count:,} pages; 'max_pages' allows {most:,}.")

    def _pixels(self, width: int, height: int) -> None:
        most = self.limit("max_pixels")
        if width * height > most:
            detail = f"A page has {width:,} x {height:,} pixels; 'max_pixels' allows {most:,} in all."
            raise ProviderError("rejected", detail)


def _engine() -> Any:
    with _LOADING:
        if not _ENGINE:
            # Its log goes to the terminal and names files; what matters is raised.
            _ENGINE.append(library("rapidocr", EXTRA).RapidOCR(params={"Global.log_level": "critical"}))
        return _ENGINE[0]


def _lines(read: Any, picture: Any) -> list[dict[str, Any]]:
    """The lines of a page in reading order, each in the upright box around it."""
    numpy: Any = library("numpy", EXTRA)
    found = read(numpy.asarray(picture)[:, :, ::-1])  # it expects blue first
    if found.txts is None:
        return []
    return [
        _line(text, score, box, picture) for text, score, box in zip(found.txts, found.scores, found.boxes, strict=True)
    ]


def _line(text: str, score: float, box: Any, picture: Any) -> dict[str, Any]:
    across = [min(max(round(float(corner[0])), 0), picture.width) for corner in box]
    down = [min(max(round(float(corner[1])), 0), picture.height) for corner in box]
    return {
        "text": text,
        "confidence": rounded(min(max(float(score), 0.0), 1.0)),
        "left": min(across),
        "top": min(down),
        "width": max(across) - min(across),
        "height": max(down) - min(down),
    }


def create(spec: ModelSpec) -> RapidOcr:
    """The provider of one configured model."""
    return RapidOcr(spec)
