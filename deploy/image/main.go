// SPDX-License-Identifier: Apache-2.0

// Command image writes the container images of both services without a container engine:
// one static binary, no shell, no user but an unprivileged one. It also writes the lists of
// parts (CycloneDX) and the NOTICE of what other people wrote, from the same data.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/deploy/image/parts"
	"github.com/dify-sso/dify-sso/deploy/image/rootfs"
)

// programs are what gets an image, with the packages that they are made of. A provider for
// development and the commands of tests are in none.
var programs = map[string]string{"core": "./core/cmd/core", "sso-bridge": "./sso-bridge/cmd/sso-bridge"}

const usage = `image writes the container images of both services, and what is said about them.

  image build   [--version v] [--out dir] [--arch amd64,arm64] [--programs core,sso-bridge]
                OCI layouts, archives for "docker load", lists of parts and checksums
  image rootfs  [--out dir]   the files of an image beside the program, for the Dockerfile
  image sbom    [--out dir] BINARY...    a list of parts for each binary
  image notice  [--write]                NOTICE, on standard output or in its place

Run it in the root of the repository. SOURCE_DATE_EPOCH dates the images; the default is 1970.
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return fmt.Errorf("name what to do: build, rootfs, sbom or notice")
	}
	flags := flag.NewFlagSet("image", flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	version := flags.String("version", "v0.0.0", "")
	out := flags.String("out", filepath.Join("dist", "images"), "")
	arches := flags.String("arch", "amd64,arm64", "")
	names := flags.String("programs", "core,sso-bridge", "")
	write := flags.Bool("write", false, "")
	_ = flags.Parse(args[1:]) // it exits by itself
	if _, err := os.Stat("go.work"); err != nil {
		return fmt.Errorf("no go.work here: run it in the root of the repository")
	}
	switch args[0] {
	case "build":
		created, err := epoch(os.Getenv("SOURCE_DATE_EPOCH"))
		if err != nil {
			return err
		}
		return build(release{version: *version, out: *out, created: created}, strings.Split(*names, ","), strings.Split(*arches, ","))
	case "rootfs":
		entries, err := rootfs.Base()
		if err != nil {
			return err
		}
		// By owner, for a Dockerfile names one for all that it copies at once.
		user := slices.DeleteFunc(slices.Clone(entries), func(e rootfs.Entry) bool { return e.Owner == 0 })
		entries = slices.DeleteFunc(entries, func(e rootfs.Entry) bool { return e.Owner != 0 })
		if err := rootfs.Write(filepath.Join(*out, "root"), entries); err != nil {
			return err
		}
		return rootfs.Write(filepath.Join(*out, "user"), user)
	case "sbom":
		return sboms(*out, *version, flags.Args())
	case "notice":
		text, err := parts.Notice(parts.Given)
		if err != nil {
			return err
		}
		if *write {
			return os.WriteFile("NOTICE", text, 0o644) //nolint:gosec // a file of the repository that everybody reads
		}
		_, err = os.Stdout.Write(text)
		return err
	}
	return fmt.Errorf("%q is none of build, rootfs, sbom and notice", args[0])
}

// epoch reads SOURCE_DATE_EPOCH, the usual way to give a reproducible build its date.
func epoch(value string) (time.Time, error) {
	if value == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is no number of seconds: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// build makes the programs and their images, and checks what it has written.
func build(r release, names, arches []string) error {
	if err := os.MkdirAll(r.out, 0o755); err != nil { //nolint:gosec // given away
		return err
	}
	bin, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	for _, name := range names {
		if programs[name] == "" {
			return fmt.Errorf("%q is none of core and sso-bridge", name)
		}
		made := map[string]string{}
		for _, arch := range arches {
			made[arch] = filepath.Join(bin, name+"-"+arch)
			if err := compile(name, arch, r.version, made[arch]); err != nil {
				return err
			}
		}
		if err := r.write(name, made); err != nil {
			return err
		}
	}
	return parts.Checksums(r.out)
}

// compile makes one program by the script that "make build" runs.
func compile(name, arch, version, output string) error {
	if !slices.Contains([]string{"amd64", "arm64"}, arch) {
		return fmt.Errorf("%q is none of amd64 and arm64", arch)
	}
	cmd := exec.Command("sh", "scripts/build.sh", programs[name], output, version) //nolint:gosec // of the table above
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s for %s: %w", name, arch, err)
	}
	return nil
}

// sboms writes the list of parts of each binary.
func sboms(out, version string, binaries []string) error {
	if len(binaries) == 0 {
		return fmt.Errorf("name the binaries, such as bin/core")
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // given away
		return err
	}
	for _, path := range binaries {
		b, err := parts.Binary(path, version)
		if err != nil {
			return err
		}
		if err := parts.Save(filepath.Join(out, filepath.Base(path)+".cdx.json"), b); err != nil {
			return err
		}
	}
	return nil
}
