// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
)

// volume makes a volume of a pod as a kubelet lays it out, and gives its folder.
func (p *pod) volume(v corev1.Volume) (string, error) {
	dir := filepath.Join(p.dir, "volumes", v.Name)
	group := 0
	if g := p.spec.SecurityContext.FSGroup; g != nil {
		group = int(*g)
	}
	switch {
	case v.EmptyDir != nil:
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return "", err
		}
		return dir, errors.Join(os.Chown(dir, 0, group), os.Chmod(dir, 0o777|fs.ModeSetgid))
	case v.PersistentVolumeClaim != nil:
		p.n.mu.Lock()
		claimed := p.n.claims[v.PersistentVolumeClaim.ClaimName]
		p.n.mu.Unlock()
		if claimed == "" {
			return "", fmt.Errorf("no claim %s", v.PersistentVolumeClaim.ClaimName)
		}
		info, err := os.Stat(claimed)
		if err != nil {
			return "", err
		}
		policy := p.spec.SecurityContext.FSGroupChangePolicy
		if want := 0o775 | fs.ModeSetgid; policy != nil && *policy == corev1.FSGroupChangeOnRootMismatch && info.Mode()&(fs.ModePerm|fs.ModeSetgid) == want {
			return claimed, nil // its root fits: nothing below is touched
		}
		return claimed, own(claimed, group, 0o660)
	case v.Secret != nil:
		p.n.mu.Lock()
		content, there := p.n.secrets[v.Secret.SecretName]
		p.n.mu.Unlock()
		if !there {
			return "", fmt.Errorf("MountVolume: no Secret %s", v.Secret.SecretName)
		}
		return dir, project(dir, content, v.Secret.Items, v.Secret.DefaultMode, group)
	case v.ConfigMap != nil:
		p.n.mu.Lock()
		c, there := p.n.configs[v.ConfigMap.Name]
		p.n.mu.Unlock()
		if !there {
			return "", fmt.Errorf("MountVolume: no ConfigMap %s", v.ConfigMap.Name)
		}
		content := map[string][]byte{}
		for k, text := range c.Data {
			content[k] = []byte(text)
		}
		return dir, project(dir, content, v.ConfigMap.Items, v.ConfigMap.DefaultMode, group)
	}
	return "", fmt.Errorf("the node knows no such volume: %s", v.Name)
}

// project writes keys as the atomic writer does: the files lie in a folder of their
// time, ..data leads to it, and each name leads through ..data.
func project(dir string, content map[string][]byte, items []corev1.KeyToPath, mode *int32, group int) error {
	if items == nil {
		for k := range content {
			items = append(items, corev1.KeyToPath{Key: k, Path: k})
		}
	}
	const stamp = "..2026_11_28_00_00_00.1234567890"
	if err := os.MkdirAll(filepath.Join(dir, stamp), 0o755); err != nil {
		return err
	}
	for _, item := range items {
		value, there := content[item.Key]
		if !there {
			return fmt.Errorf("MountVolume: references non-existent key: %s", item.Key)
		}
		m := fs.FileMode(0o644)
		if mode != nil {
			m = fs.FileMode(*mode)
		}
		if item.Mode != nil {
			m = fs.FileMode(*item.Mode)
		}
		path := filepath.Join(dir, stamp, item.Path)
		if err := errors.Join(os.WriteFile(path, value, 0o600), os.Chmod(path, m), os.Symlink(filepath.Join("..data", item.Path), filepath.Join(dir, item.Path))); err != nil {
			return err
		}
	}
	if err := os.Symlink(stamp, filepath.Join(dir, "..data")); err != nil {
		return err
	}
	return own(dir, group, 0o440)
}

// own gives a volume to the group, as fsGroup does: files at least mask, folders with
// the group's bit beside it.
func own(dir string, group int, mask fs.FileMode) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.Type()&fs.ModeSymlink != 0 {
			return os.Lchown(path, -1, group)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		mode := info.Mode()&(fs.ModePerm|fs.ModeSetgid) | mask
		if e.IsDir() {
			mode |= fs.ModeSetgid | 0o110
		}
		return errors.Join(os.Lchown(path, -1, group), os.Chmod(path, mode))
	})
}
