# Every recipe is one short command; what takes more than a line is a script in tools/.
PYTHON_IN_VENV = .venv/bin/python

# Many images for containers set it. Then each process, of some hundred in the tests, would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help lab test lint bench notebooks exercises pages map picture clean

help:           ## print this list
	@echo "The course 'Interrupts in flight'. Targets:"
	@sed -n 's/^\([a-z]*\):  *## \(.*\)/  make \1	\2/p' Makefile

lab:            ## open the course in JupyterLab (the first time this installs it into .venv)
	@sh tools/environment.sh lab
	@sh tools/lab.sh

test:           ## run everything that CI runs: lint, tests, every notebook
	@sh tools/environment.sh test
	@sh tools/test.sh

lint:           ## check style (ruff) and types (mypy) only
	@sh tools/environment.sh test
	@sh tools/lint.sh

bench:          ## measure searches and simulated runs, and print tables (takes minutes)
	@sh tools/environment.sh lab
	@$(PYTHON_IN_VENV) -m benchmarks

notebooks:      ## run every notebook and store it with its outputs, as CI wants them
	@sh tools/environment.sh test
	@PATH="$$PWD/.venv/bin:$$PATH" $(PYTHON_IN_VENV) tools/notebooks.py

exercises:      ## run the solutions, and make exercises/ from them
	@sh tools/environment.sh test
	@PATH="$$PWD/.venv/bin:$$PATH" $(PYTHON_IN_VENV) tools/exercises.py

pages:          ## write every notebook and scenario as a page that works offline, into build/pages/
	@sh tools/environment.sh lab
	@PATH="$$PWD/.venv/bin:$$PATH" $(PYTHON_IN_VENV) -m vmbus_teach.export notebooks/*.ipynb catalogue build/pages

map:            ## search what the course's texts claim, and write docs/map.md
	@sh tools/environment.sh lab
	@$(PYTHON_IN_VENV) tools/map.py

picture:        ## take the README's picture again, in a real browser
	@sh tools/environment.sh test
	@rm -f build/pictures/readme.png
	@$(PYTHON_IN_VENV) -m pytest -q tests/test_stepper_in_lab.py -k readme
	@cp build/pictures/readme.png docs/stepper.png || { echo "No picture was taken; pytest says above why."; exit 1; }

clean:          ## remove .venv and everything else that was made here
	rm -rf .venv .node build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +
