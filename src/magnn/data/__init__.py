"""Floor 1: from a log in any form to samples."""
