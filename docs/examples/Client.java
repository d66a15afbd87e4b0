import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.UUID;

/**
 * Checks a picture with facegate. Java 11 or later, nothing to install; it prints the answer's JSON, which your JSON
 * library reads.
 *
 * <pre>FACEGATE_USER=ann FACEGATE_PASSWORD=… java Client.java portrait.jpg</pre>
 */
public class Client {
    private static final HttpClient HTTP =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();

    public static void main(String[] arguments) throws IOException, InterruptedException {
        HttpResponse<String> response = check(Files.readAllBytes(Path.of(arguments[0])), 4);
        System.out.println(response.statusCode() + " " + response.body());
        // 200 is an answer about the picture, also when hasError is true; everything else is an error of the call.
        System.exit(response.statusCode() == 200 && response.body().contains("\"hasError\":false") ? 0 : 1);
    }

    /** The service's answer. Waits and tries again when it is busy. */
    static HttpResponse<String> check(byte[] picture, int attempts) throws IOException, InterruptedException {
        String url = System.getenv().getOrDefault("FACEGATE_URL", "http://127.0.0.1:8080");
        String login = System.getenv("FACEGATE_USER") + ":" + System.getenv("FACEGATE_PASSWORD");
        // Neither a UUID nor Base64 holds a character that JSON would want escaped.
        String body = "{\"sessionId\":\"" + UUID.randomUUID() + "\",\"faceImageBase\":\""
                + Base64.getEncoder().encodeToString(picture) + "\"}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/api/v1/face/detect"))
                .timeout(Duration.ofSeconds(60))
                .header("Content-Type", "application/json")
                .header("Authorization", "Basic " + Base64.getEncoder().encodeToString(login.getBytes("UTF-8")))
                .POST(BodyPublishers.ofString(body))
                .build();
        while (true) {
            HttpResponse<String> response = HTTP.send(request, BodyHandlers.ofString());
            attempts--;
            if (attempts == 0 || (response.statusCode() != 429 && response.statusCode() != 503)) {
                return response;
            }
            Thread.sleep(1000 * Long.parseLong(response.headers().firstValue("Retry-After").orElse("1")));
        }
    }
}
