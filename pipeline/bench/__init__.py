"""``dpcam bench``: how fast the parts are and how right they are, beside other tools and known truth."""
