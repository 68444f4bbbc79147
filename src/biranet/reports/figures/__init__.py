"""Figures for papers and pages: drawn once, as marks on a sheet, and written as SVG and as PDF."""
