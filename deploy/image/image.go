// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/dify-sso/dify-sso/deploy/image/parts"
	"github.com/dify-sso/dify-sso/deploy/image/rootfs"
)

// release is what the images of one version have in common.
type release struct {
	version string
	out     string
	created time.Time
}

// write makes the image of a program for each architecture: an OCI layout of all of them,
// and beside it an archive for "docker load" and a list of parts for each.
func (r release) write(program string, binaries map[string]string) error {
	base, err := rootfs.Base()
	if err != nil {
		return err
	}
	var index v1.ImageIndex = empty.Index
	index = mutate.IndexMediaType(index, types.OCIImageIndex)
	for _, arch := range slices.Sorted(maps.Keys(binaries)) {
		img, err := r.image(program, arch, binaries[arch], base)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
		tag, err := name.NewTag(reference(program, r.version))
		if err != nil {
			return fmt.Errorf("a version that is no tag: %w", err)
		}
		if err := tarball.WriteToFile(filepath.Join(r.out, program+"-"+arch+".tar"), tag, img); err != nil {
			return err
		}
		if err := r.sbom(program, arch, binaries[arch], img, base); err != nil {
			return err
		}
	}
	dir := filepath.Join(r.out, program)
	if err := os.RemoveAll(dir); err != nil { // else blobs of the build before stay in it
		return err
	}
	if _, err := layout.Write(dir, index); err != nil {
		return err
	}
	return r.check(dir, program)
}

// reference is an image's name: its tag is what the program says of itself and what the
// chart and the compose files ask for, without the v of git's tags.
func reference(program, version string) string {
	return "dify-sso/" + program + ":" + strings.TrimPrefix(version, "v")
}

// image is one architecture's: a layer that all images and versions share, and one of the program.
func (r release) image(program, arch, binary string, base []rootfs.Entry) (v1.Image, error) {
	entry, err := rootfs.Program(program, binary)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, l := range []struct {
		entries []rootfs.Entry
		says    string
	}{{base, "certification authorities, time zones, licences"}, {[]rootfs.Entry{entry}, program + " " + r.version}} {
		layer, err := layerOf(l.entries)
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: r.created}, CreatedBy: "deploy/image", Comment: l.says}})
		if err != nil {
			return nil, err
		}
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", arch, v1.Time{Time: r.created}
	// No environment: what stands in an image would win over an operator's file of settings.
	file.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", rootfs.User, rootfs.User),
		WorkingDir: "/",
		Entrypoint: []string{"/" + program},
		Cmd:        []string{"serve"},
		Labels: map[string]string{
			"org.opencontainers.image.title":    program,
			"org.opencontainers.image.version":  r.version,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(img, file)
}

func layerOf(entries []rootfs.Entry) (v1.Layer, error) {
	var content bytes.Buffer
	if err := rootfs.Tar(&content, entries); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
}

// sbom is the list of the binary's parts with what the image adds to them.
func (r release) sbom(program, arch, binary string, img v1.Image, base []rootfs.Entry) error {
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	b, err := parts.Binary(binary, r.version)
	if err != nil {
		return err
	}
	var roots, zones bytes.Buffer
	for _, e := range base {
		switch {
		case e.Path == rootfs.RootsPath:
			roots.Write(e.Content)
		case len(e.Path) > len(rootfs.ZonesPath) && e.Path[:len(rootfs.ZonesPath)] == rootfs.ZonesPath:
			zones.Write(e.Content)
		}
	}
	b.Contain(program, r.version, digest.String(), parts.File("/"+rootfs.RootsPath, "MPL-2.0", roots.Bytes()), parts.File("/"+rootfs.ZonesPath, "LicenseRef-public-domain", zones.Bytes()))
	return parts.Save(filepath.Join(r.out, program+"-"+arch+".cdx.json"), b)
}

// check reads a layout back as a registry or an engine does, and says its digests.
func (r release) check(dir, program string) error {
	read, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	if err := validate.Index(read); err != nil {
		return fmt.Errorf("%s does not read back as it was written: %w", dir, err)
	}
	manifest, err := read.IndexManifest()
	if err != nil {
		return err
	}
	for _, m := range manifest.Manifests {
		fmt.Printf("%s %s linux/%s %s\n", program, r.version, m.Platform.Architecture, m.Digest)
	}
	return nil
}
