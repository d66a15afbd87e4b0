// Checks a picture with facegate. Go 1.19 or later, standard library only.
//
//	FACEGATE_USER=ann FACEGATE_PASSWORD=… go run client.go portrait.jpg
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"
)

type rectangle struct{ Top, Left, Width, Height, Right, Bottom int }

type answer struct {
	SessionID   string `json:"sessionId"`
	HasError    bool   `json:"hasError"`
	Error       string `json:"error"`
	ErrorDetail struct{ Code, Message string }
	Face        struct {
		Age                  int
		Gender               int
		PassiveLivenessScore float64
		Rectangle            rectangle
	}
}

var client = &http.Client{Timeout: 60 * time.Second}

// check returns the service's answer. It waits and tries again when the service is busy.
func check(picture []byte, attempts int) (answer, error) {
	var result answer
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return result, err
	}
	body, err := json.Marshal(map[string]any{
		"sessionId":     hex.EncodeToString(id),
		"faceImageBase": base64.StdEncoding.EncodeToString(picture),
	})
	if err != nil {
		return result, err
	}
	url := os.Getenv("FACEGATE_URL")
	if url == "" {
		url = "http://127.0.0.1:8080"
	}
	for ; ; attempts-- {
		request, err := http.NewRequest(http.MethodPost, url+"/api/v1/face/detect", bytes.NewReader(body))
		if err != nil {
			return result, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.SetBasicAuth(os.Getenv("FACEGATE_USER"), os.Getenv("FACEGATE_PASSWORD"))
		response, err := client.Do(request)
		if err != nil {
			return result, err
		}
		busy := response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable
		if busy && attempts > 1 {
			response.Body.Close()
			seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
			if err != nil {
				seconds = 1
			}
			time.Sleep(time.Duration(seconds) * time.Second)
			continue
		}
		err = json.NewDecoder(response.Body).Decode(&result)
		response.Body.Close()
		return result, err
	}
}

func main() {
	picture, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	result, err := check(picture, 4)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if result.HasError {
		// The word is for the end user (docs/api.md), the detail for the log.
		fmt.Println(result.Error, "-", result.ErrorDetail.Message)
		os.Exit(1)
	}
	word := "NOT live"
	if result.Face.PassiveLivenessScore >= 0.5 {
		word = "live"
	}
	fmt.Printf("%s, about %d years, at %+v\n", word, result.Face.Age, result.Face.Rectangle)
}
