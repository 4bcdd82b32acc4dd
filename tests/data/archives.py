"""Archives as the sources of public data sets write them."""

import hashlib
import io
import zipfile
from dataclasses import replace

from magnn.data.datasets import Dataset

CSV_FILMS = (
    'movieId,title,genres\r\n51,"Cité des enfants perdus, La (1995)",Adventure|Sci-Fi\r\n'
    '242,"The ""Kolya"" Film (1996)",Comedy\r\n267,unknown,\r\n'
)


def zipped(files: dict[str, str], encoding: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text.encode(encoding))
    return content.getvalue()


def with_hash(dataset: Dataset, content: bytes) -> Dataset:
    file = replace(dataset.file, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    return replace(dataset, file=file)
