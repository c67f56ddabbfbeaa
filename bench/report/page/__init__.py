"""The report as one HTML file that needs no network."""

from bench.report.page.build import write_page

__all__ = ["write_page"]
