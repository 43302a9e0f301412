# The front door: `make`, `make run`, `make test`. CMake does the building; see CMakePresets.json.

PORT   ?= 3000
DATA   ?= data
PREFIX ?= /usr/local

.PHONY: all run test bench fuzz coverage docs format install package clean help

all: ## build the release into build/release
	@tools/bootstrap build
	@tools/build release

run: ## install what is missing, build, start the server with the demo on http://localhost:3000 (PORT, DATA)
	@tools/bootstrap run
	@tools/build release
	@exec build/release/convened --dev --port $(PORT) --data $(DATA)

test: ## install what is missing, build and run every test (PARTS="unit clients": some, see tools/test)
	@tools/bootstrap test
	@tools/test $(PARTS)

bench: ## measure against the reference server on Node and on Bun (QUICK=1: about a minute)
	@tools/bootstrap bench
	@tools/build release
	@bench/run

fuzz: ## fuzz every decoder for SECONDS each (default 60)
	@tools/bootstrap test
	@tools/build fuzz
	@tools/fuzz $(SECONDS)

coverage: ## line coverage of the unit tests, a row a folder
	@tools/bootstrap test
	@tools/coverage

docs: ## make the API reference: build/api-docs/html/index.html
	@tools/bootstrap test
	@mkdir -p build
	@tools/check-api-docs build/api-docs

format: ## put the sources into the project's format
	@tools/check-format --fix

install: ## install the library, the headers and the daemon (PREFIX, DESTDIR)
	@tools/bootstrap run
	@tools/build install -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	@cmake --install build/install

package: ## make the Debian package of the daemon: build/packages/convened_VERSION_ARCH.deb
	@tools/bootstrap package
	@tools/package

clean: ## remove what was built
	@rm -rf build

help: ## this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed 's/:.*## /\t/'
