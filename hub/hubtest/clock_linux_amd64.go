package hubtest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BendsClocks tells that BendClock works here.
const BendsClocks = true

// BendClock makes the wall clock that processes see differ from the true time, in
// whole seconds, from now on. Their monotonic clocks go on as before. Processes
// that they start afterwards see the same.
//
// A program reads the clock by functions that the kernel maps into each process
// (vDSO); Go programs do too, so that libfaketime does not reach them. Here the
// processes are stopped for a moment, and each of these functions becomes a jump
// to one that asks the kernel and adds.
func BendClock(t testing.TB, off time.Duration, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		err := stopped(pid, func() error { return bend(pid, int32(off/time.Second)) })
		if err != nil && !errors.Is(err, os.ErrProcessDone) { // one that has ended needs no clock
			t.Fatalf("bend the clock of process %d: %v", pid, err)
		}
	}
}

// stopped does something while no thread of the process runs.
func stopped(pid int, do func() error) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	} else if err != nil {
		return err
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	for deadline := time.Now().Add(startPatience); ; {
		running, err := anyRuns(pid)
		switch {
		case err != nil:
			return err
		case !running:
			return do()
		case time.Now().After(deadline):
			return errors.New("it does not stop")
		}
	}
}

func anyRuns(pid int) (bool, error) {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return false, errors.Join(err, os.ErrProcessDone)
	}
	running, ended := false, true
	for _, name := range stats {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		_, state, _ := bytes.Cut(raw, []byte(") "))
		dead := bytes.HasPrefix(state, []byte("Z")) || bytes.HasPrefix(state, []byte("X"))
		running = running || !dead && !bytes.HasPrefix(state, []byte("T"))
		ended = ended && dead
	}
	if ended {
		return false, os.ErrProcessDone
	}
	return running, nil
}

// bend rewrites the clock functions of a process.
func bend(pid int, seconds int32) error {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	functions, err := clockFunctions(pid, mem)
	if err != nil {
		return err
	}
	// Nobody asks for the clock's resolution: its function makes room.
	room := functions["__vdso_clock_getres"]
	for _, f := range bentFunctions(seconds) {
		at := functions[f.name]
		if at == 0 || room == 0 {
			return fmt.Errorf("the kernel maps no %s", f.name)
		}
		if _, err := mem.WriteAt(f.code, room); err != nil {
			return err
		}
		jump := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(room-at-5))
		if _, err := mem.WriteAt(jump, at); err != nil {
			return err
		}
		room += int64(len(f.code))
	}
	return nil
}

type bentFunction struct {
	name string
	code []byte
}

// bentFunctions are, as machine code, the clock functions that add seconds to what
// the kernel says.
func bentFunctions(seconds int32) []bentFunction {
	n := binary.LittleEndian.AppendUint32(nil, uint32(seconds))
	return []bentFunction{
		{"__vdso_clock_gettime", slices.Concat(
			[]byte{0xb8, 228, 0, 0, 0},  // mov eax, SYS_clock_gettime
			[]byte{0x0f, 0x05},          // syscall
			[]byte{0x85, 0xff},          // test edi, edi: CLOCK_REALTIME is 0
			[]byte{0x75, 7},             // jnz to ret
			[]byte{0x48, 0x81, 0x06}, n, // add qword [rsi], seconds
			[]byte{0xc3}, // ret
		)},
		{"__vdso_gettimeofday", slices.Concat(
			[]byte{0xb8, 96, 0, 0, 0},   // mov eax, SYS_gettimeofday
			[]byte{0x0f, 0x05},          // syscall
			[]byte{0x48, 0x81, 0x07}, n, // add qword [rdi], seconds
			[]byte{0xc3}, // ret
		)},
		{"__vdso_time", slices.Concat(
			[]byte{0xb8, 201, 0, 0, 0}, // mov eax, SYS_time
			[]byte{0x0f, 0x05},         // syscall
			[]byte{0x48, 0x05}, n,      // add rax, seconds
			[]byte{0x48, 0x85, 0xff}, // test rdi, rdi
			[]byte{0x74, 3},          // jz to ret
			[]byte{0x48, 0x89, 0x07}, // mov [rdi], rax
			[]byte{0xc3},             // ret
		)},
	}
}

// clockFunctions are the addresses of what the kernel maps into a process.
func clockFunctions(pid int, mem *os.File) (map[string]int64, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		if !strings.HasSuffix(line, "[vdso]\n") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			return nil, err
		}
		image := make([]byte, to-from)
		if _, err := mem.ReadAt(image, from); err != nil {
			return nil, err
		}
		object, err := elf.NewFile(bytes.NewReader(image))
		if err != nil {
			return nil, err
		}
		symbols, err := object.DynamicSymbols()
		if err != nil {
			return nil, err
		}
		addresses := make(map[string]int64)
		for _, s := range symbols {
			addresses[s.Name] = from + int64(s.Value)
		}
		return addresses, nil
	}
	return nil, errors.New("the kernel maps no clock into it")
}

// Children are the processes that a process has started.
func Children(t testing.TB, pid int) []int {
	t.Helper()
	lists, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, name := range lists {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}
