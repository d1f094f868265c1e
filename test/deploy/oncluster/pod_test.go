// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// pod is one that runs, or has.
type pod struct {
	n      *node
	name   string
	labels map[string]string
	spec   corev1.PodSpec
	dir    string
	box    *sandbox

	volumes map[string]string
	ctx     context.Context // ends when the pod is to go
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex
	running  map[string]*process.Process
	said     []*process.Output
	ready    bool
	since    time.Time // of ready
	going    bool      // terminating
	gone     bool
	restarts int
	failure  error // what keeps it from running
}

// start makes a pod; what it needs and lacks is its failure.
func (n *node) start(name string, labels map[string]string, spec corev1.PodSpec) *pod {
	n.t.Helper()
	p := &pod{n: n, name: name, labels: labels, spec: spec, dir: filepath.Join(n.t.TempDir(), name), volumes: map[string]string{}, running: map[string]*process.Process{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if p.spec.SecurityContext == nil {
		p.spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	var err error
	if p.box, err = n.net.join(); err != nil {
		n.t.Fatal(err)
	}
	// A kubelet makes those that a container mounts; a Secret that only a volume names is looked for too.
	for _, v := range spec.Volumes {
		if p.volumes[v.Name], err = p.volume(v); err != nil {
			n.t.Fatalf("pod %s: %v", name, err)
		}
	}
	n.mu.Lock()
	n.pods = append(n.pods, p)
	n.mu.Unlock()
	return p
}

// container is one of the pod's with a command of its own where args are given.
func (p *pod) container(c corev1.Container, args ...string) (*exec.Cmd, error) {
	image := c.Image[strings.LastIndex(c.Image, "/")+1:]
	image, _, _ = strings.Cut(image, ":")
	user, pod := c.SecurityContext, p.spec.SecurityContext
	spec := container{Network: p.box.file, Root: filepath.Join(p.dir, "roots", c.Name), Args: args}
	if user == nil || user.RunAsUser == nil || *user.RunAsUser == 0 || user.RunAsNonRoot == nil || !*user.RunAsNonRoot {
		return nil, errors.New("runAsNonRoot: the container would run as root")
	}
	spec.UID, spec.GID = int(*user.RunAsUser), int(*user.RunAsGroup)
	spec.ReadOnly = user.ReadOnlyRootFilesystem != nil && *user.ReadOnlyRootFilesystem
	if pod.FSGroup != nil {
		spec.Groups = []int{int(*pod.FSGroup)}
	}
	if len(args) == 0 {
		spec.Args = append([]string{"/" + image}, c.Args...) // the entry point
		if len(c.Command) > 0 {
			spec.Args = append(slices.Clone(c.Command), c.Args...)
		}
	}
	var err error
	if spec.Env, err = p.environ(c); err != nil {
		return nil, err
	}
	spec.Mounts = []mount{
		{Source: process.Program(p.n.t, image), Target: "/" + image, ReadOnly: true},
		{Source: "/dev/null", Target: "/dev/null"}, {Source: "/proc", Target: "/proc", ReadOnly: true},
	}
	for _, m := range c.VolumeMounts {
		if m.SubPath != "" || p.volumes[m.Name] == "" {
			return nil, fmt.Errorf("the node cannot mount %+v", m)
		}
		spec.Mounts = append(spec.Mounts, mount{Source: p.volumes[m.Name], Target: m.MountPath, ReadOnly: m.ReadOnly})
	}
	if err := p.root(spec); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(p.dir, "container-*.json")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.NewEncoder(file).Encode(spec), file.Close()); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = []string{specVariable + "=" + file.Name()}
	return cmd, nil
}

// root lays out what the image and the kubelet give, and a place for each mount.
func (p *pod) root(c container) error {
	files := map[string]string{
		"etc/passwd":                        "dify-sso:x:65532:65532::/:/sbin/nologin\n",
		"etc/hostname":                      p.name + "\n",
		"etc/hosts":                         fmt.Sprintf("127.0.0.1\tlocalhost\n%s\t%s\n", p.box.address, p.name),
		"etc/resolv.conf":                   fmt.Sprintf("search %[1]s.svc.cluster.local svc.cluster.local cluster.local\nnameserver %[2]s\noptions ndots:5\n", namespace, p.n.net.at(1)),
		"etc/ssl/certs/ca-certificates.crt": string(p.n.roots),
		"dev/null":                          "",
		strings.TrimPrefix(c.Mounts[0].Target, "/"): "",
	}
	for name, content := range files {
		path := filepath.Join(c.Root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			return err
		}
	}
	if err := os.Symlink("/proc/self/fd/0", filepath.Join(c.Root, "dev/stdin")); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, m := range c.Mounts {
		if _, there := os.Lstat(filepath.Join(c.Root, m.Target)); there == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Join(c.Root, m.Target), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// environ is what runtime, kubelet and the objects say, in their order.
func (p *pod) environ(c corev1.Container) ([]string, error) {
	list := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "HOSTNAME=" + p.name,
		"KUBERNETES_SERVICE_HOST=" + p.n.net.at(1), "KUBERNETES_SERVICE_PORT=443", "KUBERNETES_PORT=tcp://" + p.n.net.at(1) + ":443"}
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef == nil {
			return nil, errors.New("the node takes environments of ConfigMaps alone")
		}
		p.n.mu.Lock()
		config, there := p.n.configs[from.ConfigMapRef.Name]
		p.n.mu.Unlock()
		if !there {
			return nil, fmt.Errorf("no ConfigMap %s", from.ConfigMapRef.Name)
		}
		for k, v := range config.Data {
			list = append(list, from.Prefix+k+"="+v)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil {
			return nil, fmt.Errorf("the node takes no valueFrom: %s", e.Name)
		}
		list = append(list, e.Name+"="+e.Value)
	}
	return list, nil
}

// exec is "kubectl exec": a command beside the first container, in its root, environment
// and network. It gives what the command printed; said has its messages too.
func (p *pod) exec(stdin string, args ...string) (printed string, err error) {
	cmd, err := p.container(p.spec.Containers[0], args...)
	if err != nil {
		return "", err
	}
	var out, messages bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &messages
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, messages.String())
	}
	return out.String(), nil
}

// must is exec for what may not fail.
func (p *pod) must(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	out, err := p.exec(stdin, args...)
	if err != nil {
		t.Fatalf("in pod %s: %v\n%s", p.name, err, out)
	}
	return out
}

func (p *pod) isReady() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.ready && !p.going }
func (p *pod) isThere() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.running) > 0 && !p.going }

// looping says that it is started again and again.
func (p *pod) looping() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.restarts > 30 }

// available says whether it has been ready for so long.
func (p *pod) available(seconds int32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready && !p.going && time.Since(p.since) >= time.Duration(seconds)*time.Second
}

// logs is what its containers have said, in their order.
func (p *pod) logs() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, s := range p.said {
		b.WriteString(s.String())
	}
	return b.String()
}

// run starts a container and notes it.
func (p *pod) run(c corev1.Container) (*process.Process, error) {
	cmd, err := p.container(c)
	if err != nil {
		return nil, err
	}
	cmd.Stdin = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.going {
		return nil, context.Canceled
	}
	running := process.Run(p.n.t, cmd)
	p.running[c.Name] = running
	p.said = append(p.said, running.Said)
	return running, nil
}

// stop takes the pod away as a kubelet does: it is no endpoint any more, and its
// containers get SIGTERM and their grace.
func (p *pod) stop() error {
	p.mu.Lock()
	p.going = true
	running := make([]*process.Process, 0, len(p.running))
	for _, r := range p.running {
		running = append(running, r)
	}
	p.mu.Unlock()
	p.cancel()
	for _, r := range running {
		r.Signal(syscall.SIGTERM)
	}
	grace := 30 * time.Second
	if s := p.spec.TerminationGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	var err error
	for _, r := range running {
		select {
		case <-r.Ended:
		case <-time.After(grace):
			err = fmt.Errorf("pod %s goes on %s after SIGTERM and is killed:\n%s", p.name, grace, r.Said)
			r.Kill()
		}
	}
	p.end()
	return err
}

// abandon ends the pod at once.
func (p *pod) abandon() {
	p.mu.Lock()
	p.going = true
	for _, r := range p.running {
		r.Signal(syscall.SIGKILL)
	}
	p.mu.Unlock()
	p.end()
}

func (p *pod) end() {
	p.cancel()
	p.done.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		p.gone = true
		p.box.pause.Kill()
	}
}
