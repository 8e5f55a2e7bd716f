"""Files and cohort tables -> registered slides; the inbox, and the demo's cohort."""
