"""The report of a study: what was searched, what was found, how sure that is, what it cost, how to do it again."""

from tuner.report.written.files import file_name, write_report
from tuner.report.written.sections import sections_of

__all__ = ["file_name", "sections_of", "write_report"]
