"""``dpcam bench patches``: patches by several methods, trained and judged digitally."""
