"""Tables of people, as CSV, workbook or Parquet: read as text; and answers written as such."""
