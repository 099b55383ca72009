package vfs_test

import (
	"math/rand/v2"
	"testing"

	"tickproc/internal/vfs"
	"tickproc/internal/vfs/simdisk"
)

// What lies in a new directory is worth nothing if a power cut takes the
// directory.
func TestADirectorySurvivesAPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		disk := simdisk.New(rand.New(rand.NewPCG(seed, 0)), simdisk.Faults{})
		for _, dir := range []string{"/data", "/data/journal", "/data/journal/1"} {
			if err := vfs.MakeDir(disk, dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := vfs.Replace(disk, "/data/journal/1/it", []byte("text")); err != nil {
			t.Fatal(err)
		}
		if text, err := vfs.ReadFile(disk.Crash(true), "/data/journal/1/it", 100); string(text) != "text" {
			t.Errorf("seed %d: %q %v", seed, text, err)
		}
	}
}

// Everything in a directory goes with it, and one that is not there is gone.
func TestRemoveAll(t *testing.T) {
	t.Parallel()
	disk := simdisk.New(rand.New(rand.NewPCG(1, 0)), simdisk.Faults{})
	for _, dir := range []string{"/a", "/a/b", "/a/b/c"} {
		if err := vfs.MakeDir(disk, dir); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteNew(disk, dir+"/it", []byte("text")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := vfs.RemoveAll(disk, "/a/b"); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := disk.List("/a"); err != nil || len(all) != 1 || all[0].Name != "it" {
		t.Errorf("left are %v, %v", all, err)
	}
}
