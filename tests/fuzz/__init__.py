"""Fuzzing of the compiled fold, guided by its coverage, with the plain fold as the judge: `infra/fuzz`."""
