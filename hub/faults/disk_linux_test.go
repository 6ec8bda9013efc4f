package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// newLone starts a hub on the embedded defaults.
func newLone(t *testing.T, dir string) *cluster {
	t.Helper()
	r := &replica{name: "lone", Process: hubtest.StartProcess(t, hub.Settings{DataDir: dir, ForwardTimeout: "5s"})}
	c := &cluster{t: t, replicas: []*replica{r}}
	c.front = newFront(t, c.replicas)
	return c
}

// TestFullDisk_UnderSQLite: pushes are refused, with a reason, and nothing of them
// is kept; direct routing goes on. With space again all is well without a restart,
// and what was accepted is there after one.
func TestFullDisk_UnderSQLite(t *testing.T) {
	t.Parallel()
	t.Run("no space left on the device", func(t *testing.T) {
		t.Parallel()
		if os.Getuid() != 0 {
			t.Skip("only root mounts a small disk; the other case of this test is for everybody")
		}
		dir := smallDisk(t, "24m")
		c := newLone(t, dir)
		fullDisk(t, c, func() { fill(t, dir) }, func() {
			if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("files may not grow", func(t *testing.T) {
		t.Parallel()
		c := newLone(t, t.TempDir())
		fullDisk(t, c, func() { limitFiles(t, c.replicas[0], 4096) }, func() { limitFiles(t, c.replicas[0], unix.RLIM_INFINITY) })
	})
}

func fullDisk(t *testing.T, c *cluster, full, space func()) {
	m := c.market(people{msps: 4, slow: 1})
	during := c.underLoad(m, rates{}, func() {
		after(2 * time.Second)
		full()
		after(6 * time.Second)
	})
	if during.refused == 0 {
		t.Error("nothing was refused: this shows nothing")
	}
	m.wantReasons("push that failed", "OCPI 4000 the hub could not")
	m.wantNoReason("push that failed: HTTP 200 OCPI 4000 the hub could not tell")
	m.wantDirect()

	space()
	m.forgetReasons()
	c.underLoad(m, rates{}, func() { after(2 * time.Second) })
	m.wantUnharmed()

	c.replicas[0].Kill()
	c.replicas[0].Begin()
	c.replicas[0].AwaitReady()
	m.verdict(c.hubs(), false)
}

// smallDisk mounts a disk of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("busbar-faults", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return dir
}

// fill leaves no byte free.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatalf("fill the disk: %v", err)
		}
	}
}

// limitFiles bounds how large the files of a process may get.
func limitFiles(t *testing.T, r *replica, bytes uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(r.PID(), unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatalf("prlimit: %v", err)
	}
}

// wantReasons holds that what failed did so for a reason that says this.
func (m *market) wantReasons(prefix, text string) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for reason, n := range m.reasons {
		if strings.HasPrefix(reason, prefix) && !strings.Contains(reason, text) {
			m.t.Errorf("%d × %s, want a reason that says %q", n, reason, text)
		}
	}
}

func (m *market) forgetReasons() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.reasons)
}
