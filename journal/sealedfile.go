package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"tickproc/internal/vfs"
)

// Small files are JSON around which stands its own CRC32C, byte for byte:
//
//	{"crc32c":"01234567","content":{…}}
//
// so that no bit of the file can change unseen.
const (
	sealedHead = `{"crc32c":"%08x","content":`
	sealedTail = "}\n"
)

func sealJSON(content any) ([]byte, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	all := fmt.Appendf(nil, sealedHead, crc32.Checksum(body, castagnoli))
	return append(append(all, body...), sealedTail...), nil
}

var errSealBroken = errors.New("its checksum is wrong")

func unsealJSON(all []byte, content any) error {
	head := len(fmt.Sprintf(sealedHead, 0))
	if len(all) < head+len(sealedTail) {
		return errSealBroken
	}
	body := all[head : len(all)-len(sealedTail)]
	if !bytes.Equal(all[:head], fmt.Appendf(nil, sealedHead, crc32.Checksum(body, castagnoli))) || string(all[len(all)-len(sealedTail):]) != sealedTail {
		return errSealBroken
	}
	return json.Unmarshal(body, content)
}

// sealedMax bounds what is read of a small file.
const sealedMax = 64 << 20

// readSealed reads such a file; found is false if there is none.
func readSealed(fsys vfs.FS, name string, content any) (found bool, err error) {
	all, err := vfs.ReadFile(fsys, name, sealedMax)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = unsealJSON(all, content)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return true, err
}

// writeSealed writes such a file in the place of the old one, durably.
func writeSealed(fsys vfs.FS, name string, content any) error {
	all, err := sealJSON(content)
	if err != nil {
		return err
	}
	return vfs.Replace(fsys, name, all)
}

// removeDurably removes a file that may not be there: a removal that failed to
// become durable before must do so now.
func removeDurably(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}
