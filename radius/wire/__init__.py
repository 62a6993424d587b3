"""The RADIUS packet as octets: parsed in one walk, verified, edited by a closed list of edits; never normalised."""
