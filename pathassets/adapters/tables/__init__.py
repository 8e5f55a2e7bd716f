"""Tables of people, as CSV, workbook or Parquet: read as text, and results written as such files."""
