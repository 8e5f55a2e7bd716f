"""Features of a dataset's slides as torch reads them: bags, their `Dataset`, batches."""
